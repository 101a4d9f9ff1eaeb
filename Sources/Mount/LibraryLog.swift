import CFuseShim
import Logging

/// What libfuse and the shim have to say: rare, and never about a single request (but with `debug`).
let libraryLog = Logger(label: "ashlar.mount.libfuse")

@c @implementation
func ashlarFuseLog(_ level: Int32, _ message: UnsafePointer<CChar>) {
    let text = String(cString: message)
    switch level {
    case ...3: libraryLog.error("\(text)")
    case 4: libraryLog.warning("\(text)")
    case 5...6: libraryLog.info("\(text)")
    default: libraryLog.debug("\(text)")
    }
}
