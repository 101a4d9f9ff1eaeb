// The files of the other images.

extension GoldenImage {
    static var uncleanRows: [Row] {
        let kept = Row("/old/kept", 4, 0o100644, links: 2)
            .holding([.init(0, 3_000, "62ac899ce50a1c00")])
        return [
            Row("/", 1, 0o040755, links: 4), Row("/old", 2, 0o040755),
            Row("/new", 3, 0o040755, links: 4), kept, kept.with { $0.path = "/new/linked" },
            Row("/new/has moved", 5, 0o100644).holding("I move.\n"),
            Row("/new/folder", 8, 0o040700),
            Row("/new/folder/inside", 9, 0o100644).holding("I come along.\n"),
            Row("/old/removed", 10, 0o100644).holding("I am another.\n"),
            Row("/new/empty", 11, 0o040755),
        ]
    }

    static var piecesRows: [Row] {
        [
            Row("/", 1, 0o040755),
            Row("/database", 2, 0o100644).with {
                $0.size = 12_000
                $0.allocated = 11_600
                $0.runs = [
                    .init(0, 8_100, "7039233ea1632bea"), .init(8_500, 3_500, "4843e86e676c588d"),
                ]
            },
            Row("/small", 3, 0o100644).holding("0123abc789").with { $0.generation = 2 },
        ]
    }

    static var twiceRows: [Row] {
        [
            Row("/", 1, 0o040755, links: 3), Row("/blocks", 2, 0o040755),
            Row("/blocks/three-and-a-bit", 3, 0o100644)
                .holding([.init(0, 196_611, "a94a6f3bfdcf0559")]),
            Row("/blocks/one", 4, 0o100644).holding([.init(0, 65_536, "31a2d91115089fdc")]),
            Row("/later", 5, 0o100644).holding([.init(0, 3, "039058c6f2c0cb49")]),
        ]
    }

    static var threeVolumes: [ExpectedVolume] {
        let shared = Row.Run(0, 4_000, "7767aeb28e69dcad")
        return [
            ExpectedVolume(
                name: "0",
                rows: [
                    Row("/", 1, 0o040755), Row("/no more", 2, 0o100644).holding("not empty\n"),
                ]),
            ExpectedVolume(
                name: "backup-2023.11+x_y",
                rows: [
                    Row("/", 1, 0o040755, links: 3), Row("/folder", 2, 0o040755),
                    Row("/third", 4, 0o100644).holding("third\n"),
                ]),
            ExpectedVolume(
                name: "main",
                rows: [
                    Row("/", 1, 0o040755), Row("/shared", 2, 0o100644).holding([shared]),
                    Row("/mine", 3, 0o100644).holding("of main\n"),
                    Row("/second", 4, 0o100644).holding("second\n"),
                    Row("/between", 5, 0o100644).holding("between\n"),
                    Row("/fourth", 6, 0o100644).holding([shared]),
                ]),
        ]
    }

    static var removedVolumeRows: [Row] {
        [
            Row("/", 1, 0o040755),
            Row("/shared", 2, 0o100644).holding([.init(0, 3_000, "3698cb573f594fbc")]),
            Row("/later", 3, 0o100644).holding("later\n"),
        ]
    }

    static var rulesVolumes: [ExpectedVolume] {
        [
            ExpectedVolume(
                name: "main",
                rows: [
                    Row("/", 1, 0o040755), Row("/kept", 2, 0o100644).holding("kept\n"),
                    Row("/later", 3, 0o100644).holding("later\n"),
                ]),
            ExpectedVolume(name: "other", rows: [Row("/", 1, 0o040755)]),
        ]
    }

    static var clonedVolumes: [ExpectedVolume] {
        [
            ExpectedVolume(
                name: "clone",
                rows: [
                    Row("/", 1, 0o040755, links: 3), Row("/folder", 2, 0o040755),
                    Row("/folder/kept", 3, 0o100644).holding("kept\n"),
                    Row("/folder/new", 6, 0o100644).holding("new\n"),
                    Row("/linked", 5, 0o100644).holding("linked\n"),
                ]),
            ExpectedVolume(
                name: "main",
                rows: [
                    Row("/", 1, 0o040755, links: 3), Row("/folder", 2, 0o040755),
                    Row("/folder/again", 5, 0o100644).holding("linked\n"),
                    Row("/folder/kept", 3, 0o100644).holding("kept\n"),
                    Row("/folder/removed", 4, 0o100644).holding("removed\n"),
                ]),
        ]
    }

    static var deletedRows: [Row] {
        [
            Row("/", 1, 0o040755), Row("/stays", 4, 0o100644).holding("I stay.\n"),
            Row("/round-0", 5, 0o100644).holding("round 0\n"),
            Row("/round-1", 6, 0o100644).holding("round 1\n"),
            Row("/first-again", 7, 0o100644).holding([.init(0, 3_000, "9c4cda3752705bd3")]),
        ]
    }

    static var tallRows: [Row] {
        var rows = [
            Row("/", 1, 0o040755, links: 4), Row("/many", 2, 0o040755),
            Row("/linked", 503, 0o040755),
        ]
        for index in UInt64(0)..<500 where index != 300 {
            rows.append(Row("/many/file-\(index)", 3 + index, 0o100644))
        }
        for index in UInt64(0)..<440 {
            for name in ["name", "again"] {
                rows.append(Row("/linked/\(name)-\(index)", 504 + index, 0o100644, links: 2))
            }
        }
        for index in UInt64(0)..<100 {
            rows.append(Row("/many/behind-\(index)", 946 + index, 0o100600))
        }
        var runs: [Row.Run] = []
        var end: UInt64 = 0
        for index in UInt64(0)..<480 {
            end += (1 + index * 30 % 997) * 4_096
            runs.append(.init(end, 1_024, "901f39cd35b7f9ba"))
            end += 1_024
        }
        rows.append(Row("/wide", 944, 0o100644).holding(runs))
        rows.append(Row("/text", 945, 0o100644).holding([.init(0, 40_500, "f6bdc113a8c545bb")]))
        return rows
    }

    static var futureRows: [Row] {
        [
            Row("/", 1, 0o040755, links: 3), Row("/folder", 2, 0o040755),
            Row("/hello", 3, 0o100644).holding("Hello from the future.\n"),
            Row("/folder/data", 4, 0o100600).holding([.init(0, 600, "a404d15f0aa1f308")]),
            Row("/later", 5, 0o100644).holding("Later.\n"),
        ]
    }
}
