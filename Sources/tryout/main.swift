import Backends
import DiskFormat
import FileModel
import Mount
import Pipeline
import Platform
import Volume
import Glibc

let args = CommandLine.arguments
let path = args[2]
let index = RocksIndexProvider(path: path + "/index")
if args[1] == "mkfs" {
    mkdir(path, 0o755)
    let backend = try DirectoryBackend(path: path, isReadOnly: false, create: true)
    let p = StoreParameters(
        storeID: UniqueID(random: (randomUInt64(), randomUInt64())),
        secret: StoreSecret(high: randomUInt64(), low: randomUInt64()))
    let (s, n) = wallClock()
    let t = DiskTime(seconds: s, nanoseconds: n)
    let root = InodeImage(
        inode: 1, generation: 1, mode: 0o40755, linkCount: 2, modificationTime: t, changeTime: t,
        accessTime: t, birthTime: t)
    try ChunkStore.create(
        in: backend, index: index, parameters: p,
        volumes: [NewVolume(name: "main", volumeID: UniqueID(random: (randomUInt64(), randomUInt64())), root: root)])
} else {
    let backend = try DirectoryBackend(path: path, isReadOnly: false, create: false)
    var o = StoreOptions()
    o.onEvent = { print("event", $0) }
    let store = try ChunkStore.open(backend, index: index, options: o)
    let live = try LiveStore(store, options: VolumeOptions(), onEvent: { print("live", $0) })
    let volume = live.volume(named: "main")!
    var m = MountOptions(source: path, mountpoint: args[3])
    m.allowOther = true
    m.handlesSignals = true
    let session = try MountSession(filesystem: volume, options: m)
    volume.setNotifier(session.notifier)
    try session.mount()
    print("mounted")
    print(session.run())
    volume.setNotifier(nil)
    try live.close()
    print("closed")
}
