import Console

@main
enum FsckProgram {
    static func main() {}
}
