// Snapshots: every tree node that they consist of, each once however many of them have it.
import DiskFormat
import Trees

/// Checks all snapshots at the cost of the nodes that are different. Where anything is wrong each is
/// walked by its paths, to name them; when the check is `deep` always, since only that finds
/// contradictions between nodes that are right by themselves.
struct SnapshotCheck {
    private let check: Checker
    private let state: State
    /// Roots that are kept as snapshots' are, though no snapshot has them.
    private let alsoKept: [(volume: UniqueID, root: ChunkName)]
    /// By number in the table of chunks: how many snapshots and kept nodes own a kept node.
    private(set) var owners: [Int: UInt32] = [:]
    private var pending: [TreeNode.Child] = []
    private var hasProblems = false
    private var nodesDone: UInt64 = 0

    init(
        _ check: Checker, _ state: State, alsoKept: [(volume: UniqueID, root: ChunkName)] = []
    ) {
        self.check = check
        self.state = state
        self.alsoKept = alsoKept
    }

    mutating func run() throws(CheckingError) {
        check.summary.snapshots = UInt64(state.snapshots.count)
        var readable: [VolumeState] = []
        check.isInSnapshot = true
        defer { check.isInSnapshot = false }
        for snapshot in state.snapshots {
            let root = NodeReference(name: snapshot.root, level: 0)
            keep(.init(node: root, kind: .root))
            guard let view = try open(snapshot) else { continue }
            readable.append(view)
            while let child = pending.popLast() { try visit(child, view) }
        }
        check.summary.snapshotNodes = UInt64(owners.count)
        for (volume, root) in alsoKept { try visitFirst(root, of: volume) }
        guard hasProblems || check.options.depth == .deep else { return }
        for view in readable { try VolumeCheck(check, view).run() }
    }

    /// The first root of a volume that is not loaded: as a snapshot without a name. The paths to what is
    /// damaged are the volume's, which is walked by itself.
    private mutating func visitFirst(
        _ root: ChunkName, of volume: UniqueID
    ) throws(CheckingError) {
        keep(.init(node: NodeReference(name: root, level: 0), kind: .root))
        let image = SnapshotImage(
            id: volume, volumeID: volume, name: "", root: root, time: .zero)
        let view: VolumeState
        do throws(TreeError) {
            view = try VolumeState(image, in: state)
        } catch {
            pending = []
            hasProblems = true
            _ = try check.culprits(error)
            return
        }
        while let child = pending.popLast() { try visit(child, view) }
    }

    /// nil where its root cannot be read.
    private mutating func open(
        _ snapshot: SnapshotImage
    ) throws(CheckingError) -> VolumeState? {
        do throws(TreeError) {
            return try VolumeState(snapshot, in: state)
        } catch {
            pending = []
            hasProblems = true
            let volume = state.volumes.first { $0.id == snapshot.volumeID }?.name ?? ""
            for problem in try check.culprits(error) {
                check.book.note("the root of snapshot \(snapshot.name) cannot be read", on: problem)
                check.book.affect(
                    problem,
                    .init(volume: "\(volume)@\(snapshot.name)", bytes: Array("/".utf8)))
            }
            return nil
        }
    }

    /// Counts an owner of a node, and has it visited when it is the first.
    private mutating func keep(_ child: TreeNode.Child) {
        guard let number = check.inventory.table.number(of: child.node.name) else {
            // Told when its name is met on the paths.
            hasProblems = true
            _ = check.culprits(child.node.name, "not stored")
            return
        }
        owners[number, default: 0] &+= 1
        check.inventory.table.marks[number].insert(.live)
        if owners[number] == 1 { pending.append(child) }
    }

    private mutating func visit(
        _ child: TreeNode.Child, _ view: VolumeState
    ) throws(CheckingError) {
        nodesDone += 1
        if nodesDone % 64 == 1 { try check.monitor.step(.volumes, nodesDone, 0) }
        let node: TreeNode
        do throws(TreeError) {
            node = try read(child)
        } catch {
            hasProblems = true
            _ = try check.culprits(error)
            return
        }
        var seen: Set<ChunkName> = []
        for below in node.nodes where seen.insert(below.node.name).inserted { keep(below) }
        for image in node.images {
            if !(try check.checkContent(of: image, in: view).isEmpty) { hasProblems = true }
        }
    }

    private func read(_ child: TreeNode.Child) throws(TreeError) -> TreeNode {
        let name = child.node.name
        let bytes = try check.chunks.chunk(name, domain: .tree)
        do throws(FormatError) {
            let node = try bytes.borrowing { (raw) throws(FormatError) in try TreeNode(raw) }
            guard node.kind == child.kind, node.level == child.node.level else {
                throw FormatError.badValue("tree node: kind or level")
            }
            return node
        } catch {
            throw .format(error, node: name)
        }
    }
}
