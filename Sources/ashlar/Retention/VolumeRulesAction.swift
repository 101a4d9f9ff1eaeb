// Rules that a store keeps for a volume, changed by whoever has the store.
import Console
import Control
import DiskFormat
import Volume

/// What is to be changed of the rules of a volume.
struct VolumeRulesAction: Codable {
    static let command = "rules"

    var volume: String
    /// nil leaves them.
    var retention: String?
    var schedule: String?

    /// Makes it durable: through the daemon where one answers, else on the store itself.
    func perform(on address: StoreAddress) throws -> KeptRules {
        let client = ControlClient(storePath: address.path)
        if try client.isAnswered() {
            let sent = try JSONValue(encoding: self)
            let answer = try client.call(
                Self.command, ["action": sent], silenceNanoseconds: nil)
            guard let rules = answer["rules"] else {
                throw ControlError.badMessage("no rules in the answer")
            }
            return try rules.decoded(as: KeptRules.self)
        }
        let store = try WritableStore(address.path)
        let rules: KeptRules
        do {
            rules = try perform(on: store.live)
        } catch {
            // The first failure is the one to tell.
            try? store.close()
            throw error
        }
        try store.close()
        return rules
    }

    func perform(on live: LiveStore) throws(CommandFailure) -> KeptRules {
        do throws(SnapshotError) {
            let rules = try live.changeRules(of: volume) { rules in
                if let retention { rules.retention = retention }
                if let schedule { rules.schedule = schedule }
            }
            return KeptRules(
                volume: volume, retention: rules.retention, schedule: rules.schedule)
        } catch {
            throw CommandFailure(error, live)
        }
    }
}

/// The rules of a volume, as commands tell of them.
struct KeptRules: Codable, Equatable {
    var volume: String
    var retention: String
    var schedule: String

    /// Of all volumes of a store, or of one, as its packs have them.
    static func all(of store: String, volume: String?) throws -> [KeptRules] {
        let state = try StoreView(StoreAddress(whole: store)).state()
        if let volume, state.volume(named: volume) == nil {
            let names = state.volumes.map(\.name).joined(separator: ", ")
            throw CommandFailure(
                .notFound, "the store has no volume \(DisplayText.escaped(volume.utf8))",
                advice: "It has: \(names).")
        }
        return state.volumes.filter { volume == nil || $0.name == volume }.map {
            let rules = state.rules[$0.id] ?? VolumeRules(volumeID: $0.id)
            return KeptRules(
                volume: $0.name, retention: rules.retention, schedule: rules.schedule)
        }
    }

    static let columns = ["volume", "retention", "schedule"]

    var row: [ReportValue] {
        [
            .text(volume), retention.isEmpty ? .none : .name(Array(retention.utf8)),
            schedule.isEmpty ? .none : .name(Array(schedule.utf8)),
        ]
    }

    var report: Report { Report(zip(Self.columns, row).map { (key: $0, value: $1) }) }
}

/// What the daemon of a store answers about rules.
struct VolumeRulesHandlers {
    let store: ServedStore

    var handlers: [String: ControlHandler] {
        let store = store
        return [
            VolumeRulesAction.command: { request throws(ControlError) in
                guard let sent = request.arguments["action"] else {
                    throw .refused(code: FailureKind.usage.rawValue, message: "no action is given")
                }
                let action = try sent.decoded(as: VolumeRulesAction.self)
                do throws(CommandFailure) {
                    let rules = try action.perform(on: store.live)
                    store.scheduler.lookAndWait()
                    return .object(["rules": encoded(rules)])
                } catch {
                    throw error.answer
                }
            }
        ]
    }

    private func encoded(_ rules: KeptRules) -> JSONValue {
        .object([
            "volume": .text(rules.volume), "retention": .text(rules.retention),
            "schedule": .text(rules.schedule),
        ])
    }
}
