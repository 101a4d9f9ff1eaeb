// The files of the image `plain`.

extension GoldenImage {
    static var plainRows: [Row] {
        [Row("/", 1, 0o040755, links: 7)] + documents + others + attributed + odd
    }

    private static var documents: [Row] {
        let first = Row("/docs/first", 8, 0o100664, links: 3).holding("three names\n")
        return [
            Row("/docs", 2, 0o042775, owner: 1000, group: 100),
            Row("/docs/readme.txt", 3, 0o100644, owner: 1000, group: 100)
                .holding("Ashlar golden image.\n"),
            Row("/docs/empty", 4, 0o100600),
            Row("/docs/long", 5, 0o100640).holding([.init(0, 12_000, "fb3fb184f9129236")]),
            Row("/docs/same", 6, 0o100640).holding([.init(0, 12_000, "fb3fb184f9129236")]),
            Row("/docs/gap", 7, 0o100644).holding([.init(0, 11_296, "73619a611542022b")]),
            first, first.with { $0.path = "/second" }, first.with { $0.path = "/docs/third" },
            Row("/docs/once-linked", 9, 0o100644).holding("one name is left\n"),
            Row("/link", 10, 0o120777).pointing(to: "docs/readme.txt"),
            Row("/dangling", 11, 0o120777)
                .pointing(to: String(repeating: "../nowhere/", count: 30)),
        ]
    }

    private static var others: [Row] {
        let far: UInt64 = 1 << 40
        let cow = Row("/farm/a/cow", 40, 0o100644, links: 2)
        let hen = Row("/farm/a/hen", 41, 0o100644, links: 2)
        return [
            Row("/devices", 12, 0o041777),
            Row("/devices/null", 13, 0o020666).with { $0.device = [1, 3] },
            Row("/devices/disk", 14, 0o060660).with { $0.device = [259, 1_048_575] },
            Row("/devices/pipe", 15, 0o010644),
            Row("/devices/socket", 16, 0o140755),
            Row("/sparse", 17, 0o100644).with {
                $0.size = far + 26_288
                $0.allocated = 12_192
                $0.runs = [
                    .init(far, 10_192, "c8cda619bee05422"),
                    .init(far + 14_288, 2_000, "cfa6c48040da456d"),
                ]
            },
            Row("/all-hole", 18, 0o100644).with { $0.size = 65_536 },
            Row("/all-zeros", 19, 0o100644).holding([.init(0, 4_096, "ad7facb2586fc6e9")]),
            Row("/before-1970", 36, 0o104755, owner: 4_294_967_294, group: 65_534).with {
                $0.generation = 1 << 63
                $0.times = [
                    .init(seconds: -1, nanoseconds: 999_999_999),
                    .init(seconds: 1 << 40, nanoseconds: 1),
                    .init(seconds: -62_135_596_800, nanoseconds: 0),
                    .init(seconds: 0, nanoseconds: 0),
                ]
            },
            Row("/farm", 37, 0o040755, links: 4), Row("/farm/a", 38, 0o040755),
            Row("/farm/b", 39, 0o040755), cow, hen, cow.with { $0.path = "/farm/b/cow" },
            hen.with { $0.path = "/farm/b/hen" },
        ]
    }

    private static var attributed: [Row] {
        [
            Row("/attributes", 20, 0o040755).with {
                $0.attributes = [
                    "system.posix_acl_default="
                        + "0200000001000700ffffffff04000500ffffffff20000000ffffffff"
                ]
            },
            Row("/attributes/inline", 21, 0o100644).with {
                $0.attributes = [
                    "security.capability=0100000200040000000000000000000000000000",
                    "user.comment=696e2074686520696e6f6465", "user.empty=",
                ]
            },
            Row("/attributes/chunk", 22, 0o100644).holding("x").with {
                $0.attributes = ["trusted.large=sha256:6c4a8281cf28a935", "user.small=ff"]
            },
        ]
    }

    /// Each file holds the bytes of its own name.
    private static var odd: [Row] {
        let names: [(String, UInt64, String)] = [
            ("new\\x0aline", 8, "58fb6729e555d21b"), ("a space", 7, "42e29598411cde56"),
            ("\\xff\\xfe", 2, "b3d510ef04275ca8"), ("-rf", 3, "686c39acd6327bbd"),
            ("...", 3, "ab5df625bc76dbd4"), ("back\\x5cslash", 10, "1498e0b566ad7dd2"),
            ("\"quoted\"", 8, "272fca25899893ee"), ("\\x1b[31mred", 8, "fdd8a1d7961b0aa7"),
            ("caf\\xc3\\xa9", 5, "850f7dc43910ff89"), ("cafe\\xcc\\x81", 6, "81ef060bcd98adc7"),
            (String(repeating: "n", count: 255), 255, "3bb555e4ed3e8c6e"),
            ("\\x01", 1, "4bf5122f344554c5"),
        ]
        return [Row("/names", 23, 0o040700)]
            + zip(names, UInt64(24)...).map { name, inode in
                Row("/names/" + name.0, inode, 0o100644).holding([.init(0, name.1, name.2)])
            }
    }
}
