/// # Module: BenchmarkKit — what measurements say
///
/// Purpose: from samples to medians, ratios, verdicts, tables, JSON and charts. Nothing here runs
/// anything or reads a clock: the program `ashlar-benchmarks` does.
///
/// Words: a *metric* is one thing that is measured (`copy-new`: seconds to copy a new tree in). A
/// *peer* is what it is measured on, Ashlar among them. A *round* measures every peer once, one
/// after the other; a *sample* is one value of one metric, peer and round. A *ratio* is Ashlar's
/// value divided by another peer's of the same round, so that what disturbs a whole round (other
/// work on the machine, a slow disk) disturbs both. A *goal* is a ratio that is to be reached.
///
/// Invariants: samples of different rounds are never divided by each other. What was not measured
/// is absent, never zero.
///
/// Threads: values only; any thread.
public enum BenchmarkKit {
    /// The peer that all others are compared with.
    public static let subject = "ashlar"
    /// The version of the JSON report; a reader refuses others.
    public static let reportVersion = 1
}
