// Statuses of RocksDB as codes and texts.

#include "internal.hpp"

namespace {

thread_local std::string last_error;

bool contains(const std::string &text, const char *part) {
    return text.find(part) != std::string::npos;
}

// The codes of IOError, which RocksDB uses for nearly everything the system refuses.
ashlar_rocks_code code_of_io_error(const rocksdb::Status &status, const std::string &text) {
    if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit) {
        return ASHLAR_ROCKS_NO_SPACE;
    }
    // A file that the manifest names is gone.
    if (status.IsPathNotFound()) { return ASHLAR_ROCKS_DAMAGED; }
    // PosixFileSystem::LockFile has no code of its own for "somebody else has it": the first text
    // means this process, the second another one (env/fs_posix.cc; a test holds both).
    if (contains(text, "lock hold by current process") || contains(text, "While lock file")) {
        return ASHLAR_ROCKS_BUSY;
    }
    return ASHLAR_ROCKS_IO;
}

ashlar_rocks_code code_of(const rocksdb::Status &status, const std::string &text) {
    switch (status.code()) {
    case rocksdb::Status::kOk:
        return ASHLAR_ROCKS_OK;
    case rocksdb::Status::kNotFound:
        return ASHLAR_ROCKS_NOT_FOUND;
    // What another version or another program wrote is as good as damaged: to be built anew.
    case rocksdb::Status::kCorruption:
    case rocksdb::Status::kInvalidArgument:
    case rocksdb::Status::kNotSupported:
    case rocksdb::Status::kIncomplete:
        return ASHLAR_ROCKS_DAMAGED;
    case rocksdb::Status::kBusy:
        return ASHLAR_ROCKS_BUSY;
    case rocksdb::Status::kShutdownInProgress:
        return ASHLAR_ROCKS_CLOSED;
    case rocksdb::Status::kIOError:
        return code_of_io_error(status, text);
    default:
        return ASHLAR_ROCKS_IO;
    }
}

}  // namespace

namespace ashlar {

ashlar_rocks_code fail(ashlar_rocks_code code, const char *text) noexcept {
    try {
        last_error.assign(text);
    } catch (...) {
        last_error.clear();
    }
    return code;
}

ashlar_rocks_code report(const rocksdb::Status &status) noexcept {
    if (status.ok()) { return ASHLAR_ROCKS_OK; }
    if (status.IsNotFound()) { return ASHLAR_ROCKS_NOT_FOUND; }
    return guarded([&] {
        std::string text = status.ToString();
        ashlar_rocks_code code = code_of(status, text);
        last_error = std::move(text);
        return code;
    });
}

}  // namespace ashlar

const char *ashlar_rocks_error_text(void) { return last_error.c_str(); }
