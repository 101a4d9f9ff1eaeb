// What the image of snapshots holds, now and in each of them.

/// A snapshot as readers have to show it.
struct ExpectedSnapshot {
    var name: String
    var rows: [Row]
}

extension GoldenImage {
    static var snapshotsRows: [Row] {
        let text = Row("/folder/text", 5, 0o100644, links: 2).holding("second\n")
        return [
            Row("/", 1, 0o040755, links: 4), Row("/folder", 2, 0o040755), text,
            Row("/same", 3, 0o040755), text.with { $0.path = "/same/linked" },
            Row("/same/unchanged", 4, 0o100644).holding("I stay.\n"),
        ]
    }

    /// Of the volume `main`, in the order of their making.
    var snapshots: [ExpectedSnapshot] {
        guard self == .snapshots else { return [] }
        let text = Row("/folder/text", 5, 0o100644, links: 2).holding("first\n")
        let first = [
            Row("/", 1, 0o040755, links: 4), Row("/folder", 2, 0o040755), text,
            Row("/folder/long", 6, 0o100644).holding([.init(0, 6_000, "5db054c6db434373")]),
            Row("/same", 3, 0o040755), text.with { $0.path = "/same/linked" },
            Row("/same/unchanged", 4, 0o100644).holding("I stay.\n"),
        ]
        return [
            ExpectedSnapshot(name: "renamed", rows: first),
            ExpectedSnapshot(name: "second", rows: Self.snapshotsRows),
        ]
    }
}
