import CLinux
import EndToEndSupport
import Foundation
import Synchronization
import XCTest

/// Direct writes that somebody waits for later (io_submit(2)), while others read the same file in the
/// ordinary way: what is read behind the completion is new.
final class AsynchronousTests: PosixTestCase {
    /// Submissions that one context has under way, and the operations of Linux' aio_abi.h.
    private struct Context {
        #if arch(x86_64)
            private static let numbers = (setup: 206, destroy: 207, events: 208, submit: 209)
        #elseif arch(arm64)
            private static let numbers = (setup: 0, destroy: 1, events: 4, submit: 2)
        #endif
        private typealias SystemCall = @convention(c) (Int, Int, Int, Int, Int, Int) -> Int

        private var identifier = 0
        private let call = unsafeBitCast(dlsym(nil, "syscall"), to: SystemCall.self)

        init() throws(SystemError) {
            let call = call
            _ = try withUnsafeMutablePointer(to: &identifier) { (pointer) throws(SystemError) in
                try System.check(
                    call(Self.numbers.setup, 4, Int(bitPattern: pointer), 0, 0, 0))
            }
        }

        func destroy() { _ = call(Self.numbers.destroy, identifier, 0, 0, 0, 0) }

        /// Submits a write and waits for its completion; how many bytes were written.
        ///
        ///     struct iocb: data u64 · key u32 · flags u32 · opcode u16 (PWRITE 1) · priority i16 ·
        ///     file u32 · buffer u64 · length u64 · offset i64 · 16 bytes of zeros
        func write(
            _ file: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int
        ) throws(SystemError) -> Int {
            var block = [UInt64](repeating: 0, count: 8)
            block[2] = 1 | UInt64(UInt32(bitPattern: file)) << 32
            block[3] = UInt64(UInt(bitPattern: bytes.baseAddress))
            block[4] = UInt64(bytes.count)
            block[5] = UInt64(offset)
            var event = [Int](repeating: 0, count: 4)
            let result = block.withUnsafeMutableBytes { raw -> Int in
                var list = [raw.baseAddress]
                let count = list.withUnsafeMutableBytes {
                    call(
                        Self.numbers.submit, identifier, 1, Int(bitPattern: $0.baseAddress), 0, 0)
                }
                guard count == 1 else { return -1 }
                return event.withUnsafeMutableBytes {
                    call(
                        Self.numbers.events, identifier, 1, 1, Int(bitPattern: $0.baseAddress), 0)
                }
            }
            try System.check(result)
            // struct io_event: data, the iocb, the result, another result.
            return event[2]
        }
    }

    private static let fileBytes = 640 << 10

    func testReadersSeeCompletedWrites() throws {
        try onEachGround { box in
            let path = box / "new"
            try System.writeFile(path, [UInt8](repeating: 0xff, count: Self.fileBytes))
            let isOver = Atomic(false)
            let readers = DispatchGroup()
            for _ in 0..<2 {
                DispatchQueue.global().async(group: readers) {
                    while !isOver.load(ordering: .relaxed) { _ = try? System.readFile(path) }
                }
            }
            defer {
                isOver.store(true, ordering: .relaxed)
                readers.wait()
            }
            let context = try Context()
            defer { context.destroy() }
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: Self.fileBytes, alignment: 4096)
            defer { buffer.deallocate() }
            let direct = try System.open(path, O_RDWR | ASHLAR_O_DIRECT)
            defer { close(direct) }
            for round in 0..<60 {
                let byte = UInt8(round)
                buffer.initializeMemory(as: UInt8.self, repeating: byte)
                let written = try context.write(direct, UnsafeRawBufferPointer(buffer), at: 0)
                XCTAssertEqual(written, Self.fileBytes, "on \(box.ground)")
                let found = try System.readFile(path)
                guard found.allSatisfy({ $0 == byte }) else {
                    XCTFail("on \(box.ground), round \(round): stale bytes")
                    return
                }
            }
        }
    }
}
