// What a file consists of: every chunk there and intact, lengths that add up, owners counted.
import DiskFormat
import Trees

/// What a walk below a recipe node found.
struct RecipeVerdict {
    /// Bytes of file, and those of them that are not holes.
    var length: UInt64 = 0
    var allocated: UInt64 = 0
    /// The problems that keep any of it from being read.
    var problems: [Int] = []

    mutating func add(_ other: RecipeVerdict) {
        // Lengths of nodes are bounded by their decoders, so that sums only just may overflow.
        length = length &+ other.length
        allocated = allocated &+ other.allocated
        add(other.problems)
    }

    mutating func add(_ more: [Int]) {
        for problem in more where !problems.contains(problem) { problems.append(problem) }
    }
}

extension Checker {
    /// Checks an inode's content and attributes, and counts what it owns.
    ///
    /// - Returns: the problems that touch it; its paths are the caller's to add.
    func checkContent(
        of image: InodeImage, in volume: VolumeState
    ) throws(CheckingError) -> [Int] {
        var verdict = RecipeVerdict()
        switch image.content {
        case .chunk(let name):
            verdict.problems = own(name, .data)
            verdict.length = UInt64(chunks.lengthOfChunk(name) ?? UInt32(clamping: image.size))
            verdict.allocated = verdict.length
        case .recipe(let reference):
            own(reference.name)
            verdict = try checkRecipe(reference)
        case .none, .directory, .target: break
        }
        let pieces = volume.pieces(image.inode)
        for piece in pieces { verdict.add(checkPiece(piece, of: image, in: volume)) }
        var problems = verdict.problems
        let isChanged = volume.overlay.inodes[image.inode] != nil || !pieces.isEmpty
        if image.mode >> 12 == 8, problems.isEmpty {
            let place = Problem.Place.inode(volume: volume.id, image.inode)
            if verdict.length != image.size {
                problems += [
                    contradict(
                        .sizeWrong, place,
                        "size \(image.size), content of \(verdict.length) bytes")
                ].compactMap { $0 }
            } else if !isChanged, verdict.allocated != image.allocatedBytes {
                problems += [
                    contradict(
                        .allocatedWrong, place,
                        "\(image.allocatedBytes) bytes allocated, content of \(verdict.allocated)")
                ].compactMap { $0 }
            }
        }
        return problems + (try checkAttributes(of: image, in: volume))
    }

    private func checkPiece(
        _ piece: ExtentChange.Piece, of image: InodeImage, in volume: VolumeState
    ) -> [Int] {
        guard case .data(let name, let chunkBytes, _) = piece.source else { return [] }
        let problems = own(name, .data)
        guard problems.isEmpty, let length = chunks.lengthOfChunk(name), length != chunkBytes
        else { return problems }
        return [
            book.add(
                .sizeWrong, .inode(volume: volume.id, image.inode),
                "a piece at \(piece.offset) names a chunk of \(chunkBytes) bytes, which has \(length)"
            )
        ].compactMap { $0 }
    }

    private func checkAttributes(
        of image: InodeImage, in volume: VolumeState
    ) throws(CheckingError) -> [Int] {
        if case .chunk(let name, _) = image.attributes {
            let problems = own(name, .data)
            if !problems.isEmpty { return problems }
        }
        do throws(TreeError) {
            _ = try volume.attributes(of: image)
            return []
        } catch {
            if case .format(let why, _) = error {
                takeFindings()
                if case .chunk(let name, _) = image.attributes, !hasIntactCopy(name) {
                    return culprits(name, "\(why)")
                }
                return [
                    contradict(
                        .attributesMalformed, .inode(volume: volume.id, image.inode), "\(why)")
                ].compactMap { $0 }
            }
            return try culprits(error, isTree: false)
        }
    }

    private func hasIntactCopy(_ name: ChunkName) -> Bool {
        guard let number = inventory.table.number(of: name) else { return false }
        return inventory.table.range(of: number).contains {
            inventory.isIntact(inventory.table.copies[$0])
        }
    }

    /// Enters a contradiction of a volume with itself; of a snapshot it is another problem, since
    /// nobody can put that right.
    @discardableResult
    func contradict(
        _ kind: Problem.Kind, _ place: Problem.Place, _ detail: String
    ) -> Int? {
        guard isInSnapshot else { return book.add(kind, place, detail) }
        return book.add(.snapshotMalformed, place, "\(kind): \(detail)")
    }

    /// Counts an owner of a chunk whose presence the caller checks. What snapshots own is counted by
    /// their nodes.
    func own(_ name: ChunkName) {
        guard let number = inventory.table.number(of: name) else { return }
        if !isInSnapshot, !isUnloaded { inventory.table.addOwner(number) }
        inventory.table.marks[number].insert(.live)
    }

    /// Counts an owner of a chunk; returns the problems that keep it from being read.
    func own(_ name: ChunkName, _ domain: ChunkDomain) -> [Int] {
        own(name)
        return checkPresence(name, domain)
    }

    private func checkPresence(_ name: ChunkName, _ domain: ChunkDomain) -> [Int] {
        guard let number = inventory.table.number(of: name) else {
            return culprits(name, "not stored")
        }
        let copies = inventory.table.range(of: number)
        var isIntact = false
        for position in copies where inventory.isIntact(inventory.table.copies[position]) {
            isIntact = true
            if inventory.table.copies[position].domain == domain { return [] }
        }
        if !isIntact { return culprits(name, "no intact copy") }
        let found = inventory.table.copies[number].domain
        return [
            book.add(.chunkDomain, .chunk(name), "stored as \(found), needed as \(domain)")
        ].compactMap { $0 }
    }

    /// Walks a recipe, each node once however many files share it.
    func checkRecipe(_ reference: NodeReference) throws(CheckingError) -> RecipeVerdict {
        guard let number = inventory.table.number(of: reference.name) else {
            return RecipeVerdict(problems: culprits(reference.name, "not stored"))
        }
        if let known = recipes[number] { return known }
        if monitor.isCancelled() { throw .cancelled }
        inventory.table.marks[number].insert(.live)
        let node: ListNode<Extent>
        do throws(TreeError) {
            node = try ListReader<RecipeSchema, ChunkReader>(store: chunks).node(reference)
        } catch {
            let verdict = RecipeVerdict(problems: try culprits(error, isTree: false))
            recipes[number] = verdict
            return verdict
        }
        var verdict = RecipeVerdict()
        var listed: Set<Int> = []
        switch node {
        case .leaf(let extents):
            for extent in extents { checkExtent(extent, &verdict, &listed) }
        case .inner(let level, let children):
            for child in children {
                countOnce(child.child, &listed)
                let below = try checkRecipe(
                    NodeReference(name: child.child, level: level - 1))
                verdict.add(below)
                if below.problems.isEmpty, below.length != child.measure {
                    verdict.add(
                        [
                            book.add(
                                .nodeMalformed, .chunk(reference.name),
                                "names \(child.measure) bytes below a child of \(below.length)")
                        ].compactMap { $0 })
                }
            }
        }
        recipes[number] = verdict
        return verdict
    }

    private func checkExtent(
        _ extent: Extent, _ verdict: inout RecipeVerdict, _ listed: inout Set<Int>
    ) {
        verdict.length = verdict.length &+ extent.length
        verdict.allocated = verdict.allocated &+ extent.allocatedBytes
        guard case .data(let name, let length) = extent else { return }
        countOnce(name, &listed)
        let problems = checkPresence(name, .data)
        verdict.add(problems)
        guard problems.isEmpty, let stored = chunks.lengthOfChunk(name), stored != length else {
            return
        }
        verdict.add(
            [
                book.add(
                    .sizeWrong, .chunk(name), "a recipe gives it \(length) bytes, it has \(stored)")
            ].compactMap { $0 })
    }

    /// Counts a recipe node as an owner of what it lists: once for each chunk.
    func countOnce(_ name: ChunkName, _ listed: inout Set<Int>) {
        guard let number = inventory.table.number(of: name), listed.insert(number).inserted else {
            return
        }
        inventory.table.addOwner(number)
        inventory.table.marks[number].insert(.live)
    }
}
