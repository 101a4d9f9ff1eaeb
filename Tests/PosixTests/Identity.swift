import Foundation

/// As whom a call is made.
struct Identity: Sendable, Equatable, CustomStringConvertible {
    let user: uid_t
    let group: gid_t
    /// Supplementary groups.
    var groups: [gid_t] = []

    static let root = Identity(user: 0, group: 0)
    /// Owner of what boxes give to a user, and member of its group.
    static let owner = Identity(user: 71_001, group: 72_001)
    /// Another user of that group.
    static let member = Identity(user: 71_002, group: 72_001)
    /// A user who belongs to that group besides his own.
    static let guest = Identity(user: 71_003, group: 72_003, groups: [72_002, 72_001])
    /// Nobody that a box knows.
    static let stranger = Identity(user: 71_004, group: 72_004)

    var description: String { user == 0 ? "root" : "\(user):\(group)\(groups)" }

    func isIn(_ group: gid_t) -> Bool { self.group == group || groups.contains(group) }

    /// The numbers of the system calls that change the calling thread alone: the C library's
    /// functions change all threads, as POSIX wants it.
    private enum Number {
        #if arch(x86_64)
            static let setgroups = 116
            static let setresuid = 117
            static let setresgid = 119
        #elseif arch(arm64)
            static let setgroups = 159
            static let setresuid = 147
            static let setresgid = 149
        #endif
    }

    private typealias SystemCall = @convention(c) (Int, Int, Int, Int) -> Int

    /// Calls `body` with this identity and returns what it returns.
    ///
    /// The thread that has the identity ends with the call: nothing has to be given back.
    func act<Result>(_ body: () -> Result) -> Result {
        if self == .root { return body() }
        var result: Result?
        withoutActuallyEscaping({ result = body() }) { work in
            let errand = Errand {
                assume()
                work()
            }
            var thread = pthread_t()
            let code = pthread_create(
                &thread, nil,
                { errand in
                    errand.map { Unmanaged<Errand>.fromOpaque($0).takeUnretainedValue().work() }
                    return nil
                }, Unmanaged.passUnretained(errand).toOpaque())
            precondition(code == 0, "a thread can be started")
            pthread_join(thread, nil)
            withExtendedLifetime(errand) {}
        }
        guard let result else { preconditionFailure("the thread has run") }
        return result
    }

    /// The errno of `call`, or 0.
    func outcome(_ call: () -> Int) -> Int32 {
        act {
            errno = 0
            return call() < 0 ? errno : 0
        }
    }

    /// Makes the calling thread act for this user, for good.
    private func assume() {
        let call = unsafeBitCast(dlsym(nil, "syscall"), to: SystemCall.self)
        let failed = groups.withUnsafeBufferPointer { list in
            call(Number.setgroups, list.count, Int(bitPattern: list.baseAddress), 0) != 0
        }
        let id = (user: Int(user), group: Int(group))
        precondition(
            !failed && call(Number.setresgid, id.group, id.group, id.group) == 0
                && call(Number.setresuid, id.user, id.user, id.user) == 0,
            "root may become anybody")
    }

    /// Work for another thread, which is waited for.
    private final class Errand {
        let work: () -> Void

        init(_ work: @escaping () -> Void) { self.work = work }
    }
}
