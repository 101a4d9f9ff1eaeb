import Platform
import XCTest

final class BufferPoolTests: XCTestCase {
    func testBuffersArePagesAndComeBack() {
        let pool = BufferPool(capacityBytes: 5000, keptBytesMax: 3 * 8192)
        XCTAssertEqual(pool.capacityBytes, 8192)
        var address: UnsafeRawPointer?
        do {
            let buffer = pool.take()
            XCTAssertEqual(buffer.capacityBytes, 8192)
            XCTAssertEqual(buffer.count, 0)
            XCTAssertEqual(buffer.bytes.count, 0)
            XCTAssertEqual(buffer.mutableBytes.count, 8192)
            address = UnsafeRawPointer(buffer.mutableBytes.baseAddress)
            XCTAssertEqual(UInt(bitPattern: address) % 4096, 0)
            buffer.mutableBytes.copyBytes(from: [1, 2, 3])
            buffer.count = 3
            XCTAssertEqual(Array(buffer.bytes), [1, 2, 3])
            XCTAssertEqual(buffer.freeBytes.count, 8189)
            buffer.freeBytes.copyBytes(from: [4])
            buffer.count += 1
            XCTAssertEqual(Array(buffer.bytes), [1, 2, 3, 4])
            XCTAssertEqual(pool.usedBytes, 8192)
            XCTAssertEqual(pool.keptBytes, 0)
        }
        XCTAssertEqual(pool.usedBytes, 0)
        XCTAssertEqual(pool.keptBytes, 8192)
        let again = pool.take()
        XCTAssertEqual(UnsafeRawPointer(again.mutableBytes.baseAddress), address)
        XCTAssertEqual(again.count, 0)
    }

    func testWhatIsKeptIsBounded() {
        let pool = BufferPool(capacityBytes: 4096, keptBytesMax: 10_000)
        var buffers = (0..<10).map { _ in pool.take() }
        XCTAssertEqual(Set(buffers.map { $0.mutableBytes.baseAddress }).count, 10)
        buffers = []
        XCTAssertEqual(pool.keptBytes, 8192)
        pool.trim()
        XCTAssertEqual(pool.keptBytes, 0)
        let none = BufferPool(capacityBytes: 4096, keptBytesMax: 0)
        _ = none.take()
        XCTAssertEqual(none.keptBytes, 0)
    }

    func testBuffersMayOutliveThePool() {
        var pool: BufferPool? = BufferPool(capacityBytes: 4096, keptBytesMax: 1 << 20)
        let buffer = pool?.take()
        pool = nil
        buffer?.mutableBytes.initializeMemory(as: UInt8.self, repeating: 7)
        buffer?.count = 4096
        XCTAssertEqual(buffer?.bytes.allSatisfy { $0 == 7 }, true)
    }

    func testManyThreads() throws {
        let pool = BufferPool(capacityBytes: 4096, keptBytesMax: 4 * 4096)
        let wrong = ConditionMutex(0)
        let threads = try (0..<4).map { index in
            try PlatformThread(name: "buffers-\(index)") {
                for _ in 0..<2000 {
                    let buffer = pool.take()
                    buffer.mutableBytes.initializeMemory(as: UInt8.self, repeating: UInt8(index))
                    if !buffer.mutableBytes.allSatisfy({ $0 == UInt8(index) }) {
                        wrong.withLock { $0 += 1 }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        XCTAssertEqual(wrong.withLock { $0 }, 0)
        XCTAssertEqual(pool.usedBytes, 0)
        XCTAssertLessThanOrEqual(pool.keptBytes, 4 * 4096)
    }
}
