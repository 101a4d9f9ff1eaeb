/// What is copied, untarred and read: real files of Debian, in the cache folder. What could not be
/// had is nil or empty, and named in `notes`.
struct Corpus {
    /// Trees of `linux-image-*-amd64`, older first, up to three.
    var images: [String] = []
    /// Trees of `linux-headers-*-common`, older first, up to three.
    var headers: [String] = []
    /// linux-source as a plain tar.
    var sourceTar: String?
    /// A git folder whose HEAD and index are of that source.
    var sourceGit: String?
    /// An image of a disk, and of the same with more packages installed.
    var diskBefore: String?
    var diskAfter: String?
    /// An image for random access.
    var bigImage: String?
    var notes: [String] = []

    /// What a scenario needs.
    enum Part: CaseIterable {
        case images
        case headers
        case source
        case disks
        case bigImage
    }
}
