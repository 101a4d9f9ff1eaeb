import Glibc

/// What the machine is.
public enum Machine {
    /// Processors that are in use; at least 1.
    public static var processorCount: Int {
        max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    }
}
