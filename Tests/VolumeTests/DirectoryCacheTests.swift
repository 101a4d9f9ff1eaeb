// The names of a directory in memory: in order, whatever comes and goes between two looks.
import Platform
import XCTest

@testable import Volume

final class DirectoryCacheTests: XCTestCase {
    func testCookiesStayInOrderWhileNamesComeAndGo() {
        var random = SeededGenerator(seed: printedSeed())
        let cache = DirectoryCache(isComplete: true)
        var known: [[UInt8]: UInt64] = [:]
        for _ in 0..<1500 {
            let name = Array("n\(random.below(200))".utf8)
            switch random.below(10) {
            case 0..<5:
                // Also the same name with another cookie, and a cookie that comes back.
                let cookie = UInt64(2 + random.below(800))
                guard !known.values.contains(cookie) || known[name] == cookie else { continue }
                cache.set(name, Dentry(inode: 7, kind: 8, cookie: cookie))
                known[name] = cookie
            case 5..<8:
                cache.remove(name)
                known[name] = nil
            default:
                let after = UInt64(random.below(900))
                let cookies = Array(cache.cookies(after: after))
                XCTAssertEqual(
                    cookies.filter { cache.byCookie[$0] != nil },
                    known.values.filter { $0 > after }.sorted())
                XCTAssertTrue(zip(cookies, cookies.dropFirst()).allSatisfy { $0 < $1 })
            }
        }
        XCTAssertEqual(cache.presentCount, known.count)
    }
}
