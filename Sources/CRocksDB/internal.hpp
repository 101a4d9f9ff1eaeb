// Shared by the files of this shim only: errors, options, the handle.
#pragma once

#include <atomic>
#include <memory>
#include <shared_mutex>
#include <string>

#include "CRocksDB.h"
#include "rocksdb/cache.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/slice.h"
#include "rocksdb/write_buffer_manager.h"

namespace ashlar {

// RocksDB's options with the two objects that the memory budget is kept in.
struct Configuration {
    rocksdb::Options options;
    std::shared_ptr<rocksdb::Cache> cache;
    std::shared_ptr<rocksdb::WriteBufferManager> write_buffers;
};

// Derives everything from the budget; may throw std::bad_alloc.
Configuration configure(const ashlar_rocks_options &wanted);

// Drops what RocksDB wants to log: its LOG file would be written to media that are read-only, and
// every error reaches the caller as a status anyway.
std::shared_ptr<rocksdb::Logger> discarding_logger();

// Keeps `text` for ashlar_rocks_error_text and returns `code`.
ashlar_rocks_code fail(ashlar_rocks_code code, const char *text) noexcept;

// The code of a status, its text kept unless it is OK or NotFound.
ashlar_rocks_code report(const rocksdb::Status &status) noexcept;

// Runs `body`, turning what it throws into a code.
template <typename Body> ashlar_rocks_code guarded(Body body) noexcept {
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return fail(ASHLAR_ROCKS_IO, "out of memory");
    } catch (const std::exception &error) {
        return fail(ASHLAR_ROCKS_IO, error.what());
    } catch (...) {
        return fail(ASHLAR_ROCKS_IO, "unknown exception");
    }
}

// A slice of bytes that may be absent when there are none.
inline rocksdb::Slice slice(const void *bytes, size_t length) noexcept {
    if (length == 0) { return rocksdb::Slice(); }
    return rocksdb::Slice(static_cast<const char *>(bytes), length);
}

}  // namespace ashlar

struct ashlar_rocks {
    std::unique_ptr<rocksdb::DB> db;  // under `use`: shared to call it, exclusive to close it
    std::shared_mutex use;
    std::atomic<bool> closing{false};  // set before `use` is taken to close: nobody queues up
    ashlar::Configuration configuration;
    bool read_only = false;
};

struct ashlar_rocks_iterator {
    std::shared_lock<std::shared_mutex> use;  // declared first: released after the iterator is gone
    std::string upper;                        // the first key behind the prefix, or empty: none
    rocksdb::Slice upper_slice;
    std::unique_ptr<rocksdb::Iterator> entries;
    bool started = false;
};
