// Asking people before something that cannot be taken back.

/// A question on the terminal.
public enum Confirmation {
    /// Whether somebody can answer.
    public static var canAsk: Bool {
        Terminal.isTerminal(0) && Terminal.isTerminal(2)
    }

    /// Asks on standard error; only "y" or "yes" is a yes.
    public static func ask(_ question: String, _ output: Output) -> Bool {
        output.say("\(question) [y/N] ")
        let answer = readLine()?.lowercased() ?? ""
        return answer == "y" || answer == "yes"
    }
}
