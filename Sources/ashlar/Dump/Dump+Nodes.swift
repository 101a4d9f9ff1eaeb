// Reports on inodes and on the nodes of Merkle lists.
import Console
import DiskFormat

/// How inodes are shown, in commits and in directories alike.
enum InodeReport {
    /// The letter of ls(1) for the kind of a mode.
    static func kind(ofMode mode: UInt32) -> String { kind(UInt8(mode >> 12 & 15)) }

    /// A d_type in a word.
    static func kind(_ kind: UInt8) -> String {
        switch kind {
        case 1: "fifo"
        case 2: "character device"
        case 4: "directory"
        case 6: "block device"
        case 8: "file"
        case 10: "symlink"
        case 12: "socket"
        default: "unknown \(kind)"
        }
    }

    /// Permission bits in octal.
    static func permissions(_ mode: UInt32) -> String {
        let digits = String(mode & 0o7777, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    /// A key of content: where the bytes are.
    static func content(_ key: ContentKey) -> ReportValue {
        switch key {
        case .none: .none
        case .chunk(let name): .text("chunk \(name.hexadecimal)")
        case .recipe(let node): .text("recipe \(node.name.hexadecimal) level \(node.level)")
        case .directory(let node): .text("tree \(node.name.hexadecimal) level \(node.level)")
        case .target: .text("in place")
        }
    }

    /// Everything about an inode.
    static func report(_ image: InodeImage) -> Report {
        var report: Report = [
            "inode": .number(image.inode), "generation": .number(image.generation),
            "kind": .text(kind(ofMode: image.mode)), "mode": .text(permissions(image.mode)),
            "links": .number(image.linkCount), "owner": .number(UInt64(image.owner)),
            "group": .number(UInt64(image.group)), "size": .bytes(image.size),
            "allocated": .bytes(image.allocatedBytes), "linked": .flag(image.isLinked),
            "parent": image.parent.map { .number($0) } ?? .none,
            "modified": time(image.modificationTime), "changed": time(image.changeTime),
            "accessed": time(image.accessTime), "born": time(image.birthTime),
            "content": content(image.content),
        ]
        if let device = image.device {
            report.add("device", .text("\(device.major):\(device.minor)"))
        }
        if case .target(let bytes) = image.content { report.add("target", .name(bytes)) }
        report.add("attributes", attributes(image.attributes))
        return report
    }

    static func time(_ time: DiskTime) -> ReportValue { .time(time.seconds, time.nanoseconds) }

    private static func attributes(_ storage: AttributeStorage) -> ReportValue {
        switch storage {
        case .none: return .none
        case .chunk(let name, let byteCount):
            return .text("chunk \(name.hexadecimal), \(byteCount) bytes")
        case .inline(let bytes):
            guard let set = try? bytes.withUnsafeBytes({ try AttributeSet($0) }) else {
                return .text("damaged, \(bytes.count) bytes")
            }
            let rows = set.attributes.map { [ReportValue.name($0.name), .name($0.value)] }
            return .table(ReportTable(columns: ["name", "value"], rows: rows))
        }
    }
}

extension Dump {
    /// A node of a recipe or of a tree, decoded.
    func node(_ text: String, domain: ChunkDomain) throws(CommandFailure) -> Report {
        let places = try finder.find(text, domain: domain)
        let bytes = try finder.read(places)
        var report: Report = [
            "name": .text(places[0].chunk.name.hexadecimal),
            "domain": .text(domain.label), "node_bytes": .bytes(UInt64(bytes.count)),
        ]
        do throws(FormatError) {
            let fields = try bytes.withUnsafeBufferPointer { (buffer) throws(FormatError) in
                let raw = UnsafeRawBufferPointer(buffer)
                return domain == .recipe ? try recipe(raw) : try tree(raw)
            }
            report.fields += fields.fields
        } catch {
            throw CommandFailure(
                .damaged, "node \(places[0].chunk.name.hexadecimal): \(CommandFailure.words(error))"
            )
        }
        return report
    }

    private func recipe(_ bytes: UnsafeRawBufferPointer) throws(FormatError) -> Report {
        let node = try RecipeNode(bytes)
        switch node {
        case .inner(let level, let entries):
            return children("recipe", level, entries)
        case .leaf(let extents):
            var table = ReportTable(columns: ["offset", "length", "kind", "chunk"])
            var offset: UInt64 = 0
            for extent in extents {
                table.rows.append(row(extent, at: offset))
                offset += extent.length
            }
            return [
                "kind": .text("recipe"), "level": .number(0), "length": .bytes(node.length),
                "extents": .table(table),
            ]
        }
    }

    private func row(_ extent: Extent, at offset: UInt64) -> [ReportValue] {
        switch extent {
        case .data(let name, let length):
            [
                .number(offset), .bytes(UInt64(length)), .text("data"),
                .text(name.hexadecimal),
            ]
        case .hole(let length): [.number(offset), .bytes(length), .text("hole"), .none]
        case .zeros(let length): [.number(offset), .bytes(length), .text("zeros"), .none]
        }
    }

    private func children(_ kind: String, _ level: UInt8, _ entries: [InnerEntry]) -> Report {
        var table = ReportTable(columns: ["child", "measure", "first_key"])
        for entry in entries {
            table.rows.append([
                .text(entry.child.hexadecimal), .number(entry.measure),
                entry.firstKey.isEmpty ? .none : .name(entry.firstKey),
            ])
        }
        return [
            "kind": .text(kind), "level": .number(UInt64(level)), "children": .table(table),
        ]
    }

    private func tree(_ bytes: UnsafeRawBufferPointer) throws(FormatError) -> Report {
        var reader = ByteReader(bytes, "tree node")
        switch try NodeHead(from: &reader).kind {
        case .directory:
            switch try DirectoryNode(bytes) {
            case .inner(let level, let entries): return children("directory", level, entries)
            case .leaf(let entries): return directory(entries)
            }
        case .linkedInodes:
            switch try LinkedInodesNode(bytes) {
            case .inner(let level, let entries): return children("linked inodes", level, entries)
            case .leaf(let images):
                return [
                    "kind": .text("linked inodes"), "level": .number(0),
                    "inodes": .list(images.map { .object(InodeReport.report($0)) }),
                ]
            }
        case .root: return root(try RootImage(bytes))
        case .recipe: throw .badValue("tree node: a recipe")
        }
    }

    private func directory(_ entries: [DirectoryEntry]) -> Report {
        var table = ReportTable(
            columns: ["name", "inode", "kind", "mode", "size", "content", "collision"])
        for entry in entries {
            switch entry.target {
            case .only(let image):
                table.rows.append([
                    .name(entry.name), .number(image.inode),
                    .text(InodeReport.kind(ofMode: image.mode)),
                    .text(InodeReport.permissions(image.mode)), .bytes(image.size),
                    InodeReport.content(image.content), .number(UInt64(entry.collision)),
                ])
            case .linked(let inode, let kind):
                table.rows.append([
                    .name(entry.name), .number(inode), .text(InodeReport.kind(kind)),
                    .text("linked"), .none, .none, .number(UInt64(entry.collision)),
                ])
            }
        }
        return [
            "kind": .text("directory"), "level": .number(0), "entries": .table(table),
        ]
    }

    private func root(_ root: RootImage) -> Report {
        [
            "kind": .text("root"), "volume_id": .text(root.volumeID.description),
            "volume": .text(root.volumeName), "time": InodeReport.time(root.time),
            "next_inode": .number(root.nextInode),
            "files": .number(root.statistics.files),
            "directories": .number(root.statistics.directories),
            "others": .number(root.statistics.others),
            "logical_bytes": .bytes(root.statistics.logicalBytes),
            "linked_inodes": root.linkedInodes.map {
                .text("tree \($0.name.hexadecimal) level \($0.level)")
            } ?? .none,
            "directory": .object(InodeReport.report(root.directory)),
            "orphans": root.orphans.isEmpty
                ? .none : .list(root.orphans.map { .object(InodeReport.report($0)) }),
        ]
    }
}
