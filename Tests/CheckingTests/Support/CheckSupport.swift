// How the tests run checks and show what was found.
import Backends
import Checking

extension Scene {
    func check(_ depth: CheckDepth = .full) throws -> CheckReport {
        try checkStore(store.backend, depth)
    }
}

func checkStore(_ backend: any Backend, _ depth: CheckDepth = .full) throws -> CheckReport {
    try StoreCheck.run(backend, options: CheckOptions(depth: depth))
}

extension CheckReport {
    /// What is worse than normal.
    var complaints: [Problem] { problems.filter { $0.severity > .information } }

    var text: String {
        problems.map { problem in
            "\(problem.severity) \(problem.kind) \(problem.place) \(problem.detail) "
                + "\(problem.pathCount): \(problem.paths.map(\.text))"
        }.joined(separator: "\n")
    }
}
