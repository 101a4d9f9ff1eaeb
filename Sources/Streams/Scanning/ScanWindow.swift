import DiskFormat

/// What a walk has met and the tree does not have yet, in order.
struct ScanWindow {
    enum Event {
        case begin(name: [UInt8], InodeImage, previous: InodeImage?)
        case end
        /// With `slot`, what that gives; else as it is.
        case file(File)
        /// Another name of a file.
        case again(name: [UInt8], FileIdentity)

        var isReady: Bool {
            if case .file(let file) = self, let slot = file.slot { slot.isReady } else { true }
        }
    }

    struct File {
        var name: [UInt8]
        var image: InodeImage
        var previous: InodeImage?
        /// Of a file with several names.
        var link: FileIdentity?
        var namesTotal: UInt64
        var slot: FileReaders.Slot?
    }

    private var events: [Event] = []
    private var head = 0

    var count: Int { events.count - head }
    var first: Event? { head < events.count ? events[head] : nil }

    mutating func append(_ event: Event) { events.append(event) }

    mutating func removeFirst() {
        events[head] = .end
        head += 1
        guard head >= 512 else { return }
        events.removeFirst(head)
        head = 0
    }
}
