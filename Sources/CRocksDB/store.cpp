// Opening, closing, reading, writing: see CRocksDB.h for what is promised.

#include <cstring>
#include <mutex>
#include <vector>

#include "internal.hpp"
#include "rocksdb/env.h"
#include "rocksdb/write_batch.h"

using ashlar::fail;
using ashlar::guarded;
using ashlar::report;
using ashlar::slice;

namespace {

ashlar_rocks_code fail_closed() noexcept { return fail(ASHLAR_ROCKS_CLOSED, "closed"); }

ashlar_rocks_code fail_read_only() noexcept { return fail(ASHLAR_ROCKS_IO, "opened read-only"); }

// Runs `body(db)` while the store cannot be closed. Locks of one thread may nest (a scan whose body
// reads): glibc's reader-writer lock prefers readers, and `closing` turns newcomers away.
template <typename Body> ashlar_rocks_code using_db(ashlar_rocks *store, Body body) noexcept {
    return guarded([&]() -> ashlar_rocks_code {
        if (store->closing.load(std::memory_order_acquire)) { return fail_closed(); }
        std::shared_lock<std::shared_mutex> use(store->use);
        if (!store->db) { return fail_closed(); }
        return body(*store->db);
    });
}

bool begins(const std::string &name, const char *start) {
    return name.compare(0, std::strlen(start), start) == 0;
}

bool ends(const std::string &name, const char *end) {
    const size_t length = std::strlen(end);
    return name.size() >= length && name.compare(name.size() - length, length, end) == 0;
}

// RocksDB takes a folder without CURRENT for an empty one and would make a new store over the
// tables of the old one.
bool lost_its_current_file(const std::string &path) {
    std::vector<std::string> names;
    if (!rocksdb::Env::Default()->GetChildren(path, &names).ok()) { return false; }
    bool remains = false;
    for (const auto &name : names) {
        if (name == "CURRENT") { return false; }
        remains = remains || begins(name, "MANIFEST-") || ends(name, ".sst");
    }
    return remains;
}

// The first key behind all that begin with `prefix`; empty when there is none.
std::string successor_of_prefix(const void *prefix, size_t length) {
    std::string result = slice(prefix, length).ToString();
    while (!result.empty() && static_cast<unsigned char>(result.back()) == 0xff) {
        result.pop_back();
    }
    if (!result.empty()) { result.back() = static_cast<char>(result.back() + 1); }
    return result;
}

uint32_t little_endian_u32(const unsigned char *bytes) noexcept {
    return uint32_t{bytes[0]} | uint32_t{bytes[1]} << 8 | uint32_t{bytes[2]} << 16 |
           uint32_t{bytes[3]} << 24;
}

// Turns the packed layout into RocksDB's own; false when a length leads out of the buffer, the
// operation is unknown or a delete carries a value.
bool decode(const unsigned char *bytes, size_t length, rocksdb::WriteBatch &out) {
    constexpr size_t header_bytes = 9;
    size_t at = 0;
    while (at < length) {
        if (length - at < header_bytes) { return false; }
        const unsigned operation = bytes[at];
        const uint64_t key_length = little_endian_u32(bytes + at + 1);
        const uint64_t value_length = little_endian_u32(bytes + at + 5);
        at += header_bytes;
        if (key_length + value_length > length - at) { return false; }
        const rocksdb::Slice key = slice(bytes + at, key_length);
        const rocksdb::Slice value = slice(bytes + at + key_length, value_length);
        at += key_length + value_length;
        if (operation == 1) {
            if (!out.Put(key, value).ok()) { return false; }
        } else if (operation == 2 && value_length == 0) {
            if (!out.Delete(key).ok()) { return false; }
        } else {
            return false;
        }
    }
    return true;
}

// Memtables to the disk. After an I/O error in the background RocksDB refuses until it is resumed;
// that flushes too, and the flush after it says whether all is well. While RocksDB's own recovery
// from a full disk is under way, resuming is refused and the first error stands.
ashlar_rocks_code flush(rocksdb::DB &db) {
    rocksdb::FlushOptions options;
    options.wait = true;
    options.allow_write_stall = true;  // whoever asks for durability is not to wait for compactions
    rocksdb::Status status = db.Flush(options);
    if (status.ok() || status.IsCorruption()) { return report(status); }
    if (!db.Resume().ok()) { return report(status); }
    return report(db.Flush(options));
}

uint64_t property(rocksdb::DB &db, const std::string &name) {
    uint64_t value = 0;
    return db.GetIntProperty(name, &value) ? value : 0;
}

}  // namespace

ashlar_rocks_code ashlar_rocks_open(
    const char *path, const ashlar_rocks_options *wanted, ashlar_rocks **out) {
    *out = nullptr;
    return guarded([&]() -> ashlar_rocks_code {
        if (lost_its_current_file(path)) {
            return fail(ASHLAR_ROCKS_DAMAGED, "the CURRENT file is missing");
        }
        auto store = std::make_unique<ashlar_rocks>();
        store->read_only = wanted->read_only;
        store->configuration = ashlar::configure(*wanted);
        rocksdb::DB *db = nullptr;
        const rocksdb::Options &options = store->configuration.options;
        const rocksdb::Status status =
            wanted->read_only ? rocksdb::DB::OpenForReadOnly(options, path, &db)
                              : rocksdb::DB::Open(options, path, &db);
        store->db.reset(db);
        if (status.IsNotFound()) {
            return fail(ASHLAR_ROCKS_DAMAGED, status.ToString().c_str());
        }
        if (!status.ok()) { return report(status); }
        *out = store.release();
        return ASHLAR_ROCKS_OK;
    });
}

ashlar_rocks_code ashlar_rocks_close(ashlar_rocks *store, bool flushing) {
    return guarded([&]() -> ashlar_rocks_code {
        if (store->closing.exchange(true)) { return ASHLAR_ROCKS_OK; }
        std::unique_lock<std::shared_mutex> use(store->use);
        ashlar_rocks_code result = ASHLAR_ROCKS_OK;
        if (flushing && !store->read_only) { result = flush(*store->db); }
        const rocksdb::Status closed = store->db->Close();
        store->db.reset();
        return result == ASHLAR_ROCKS_OK ? report(closed) : result;
    });
}

void ashlar_rocks_free(ashlar_rocks *store) {
    if (store == nullptr) { return; }
    (void)ashlar_rocks_close(store, false);
    delete store;
}

ashlar_rocks_code ashlar_rocks_destroy(const char *path) {
    return guarded([&]() -> ashlar_rocks_code {
        if (rocksdb::Env::Default()->FileExists(path).IsNotFound()) { return ASHLAR_ROCKS_OK; }
        rocksdb::Options options;
        options.info_log = ashlar::discarding_logger();
        return report(rocksdb::DestroyDB(path, options));
    });
}

ashlar_rocks_code ashlar_rocks_get(
    ashlar_rocks *store, const void *key, size_t key_length, void *buffer, size_t capacity,
    size_t *length) {
    return using_db(store, [&](rocksdb::DB &db) -> ashlar_rocks_code {
        rocksdb::PinnableSlice value;
        const rocksdb::Status status = db.Get(
            rocksdb::ReadOptions(), db.DefaultColumnFamily(), slice(key, key_length), &value);
        if (!status.ok()) { return report(status); }
        *length = value.size();
        if (value.size() > capacity) { return ASHLAR_ROCKS_TOO_SMALL; }
        if (!value.empty()) { std::memcpy(buffer, value.data(), value.size()); }
        return ASHLAR_ROCKS_OK;
    });
}

ashlar_rocks_code ashlar_rocks_write(ashlar_rocks *store, const void *batch, size_t length) {
    return using_db(store, [&](rocksdb::DB &db) -> ashlar_rocks_code {
        if (store->read_only) { return fail_read_only(); }
        rocksdb::WriteBatch decoded(length);
        if (!decode(static_cast<const unsigned char *>(batch), length, decoded)) {
            return fail(ASHLAR_ROCKS_INVALID_BATCH, "the batch is not well-formed");
        }
        rocksdb::WriteOptions options;
        options.disableWAL = true;
        return report(db.Write(options, &decoded));
    });
}

ashlar_rocks_code ashlar_rocks_iterate(
    ashlar_rocks *store, const void *prefix, size_t prefix_length, const void *from,
    size_t from_length, bool fill_cache, ashlar_rocks_iterator **out) {
    *out = nullptr;
    return guarded([&]() -> ashlar_rocks_code {
        if (store->closing.load(std::memory_order_acquire)) { return fail_closed(); }
        auto iterator = std::make_unique<ashlar_rocks_iterator>();
        iterator->use = std::shared_lock<std::shared_mutex>(store->use);
        if (!store->db) { return fail_closed(); }
        rocksdb::ReadOptions options;
        options.fill_cache = fill_cache;
        iterator->upper = successor_of_prefix(prefix, prefix_length);
        if (!iterator->upper.empty()) {
            iterator->upper_slice = iterator->upper;
            options.iterate_upper_bound = &iterator->upper_slice;
        }
        iterator->entries.reset(store->db->NewIterator(options));
        const rocksdb::Slice start = slice(from, from_length);
        const rocksdb::Slice lower = slice(prefix, prefix_length);
        iterator->entries->Seek(start.compare(lower) < 0 ? lower : start);
        *out = iterator.release();
        return ASHLAR_ROCKS_OK;
    });
}

ashlar_rocks_code ashlar_rocks_next(ashlar_rocks_iterator *iterator, ashlar_rocks_entry *entry) {
    return guarded([&]() -> ashlar_rocks_code {
        rocksdb::Iterator &entries = *iterator->entries;
        if (iterator->started && entries.Valid()) { entries.Next(); }
        iterator->started = true;
        if (!entries.Valid()) {
            const rocksdb::Status status = entries.status();
            return status.ok() ? ASHLAR_ROCKS_NOT_FOUND : report(status);
        }
        const rocksdb::Slice key = entries.key();
        const rocksdb::Slice value = entries.value();
        *entry = {key.data(), key.size(), value.data(), value.size()};
        return ASHLAR_ROCKS_OK;
    });
}

void ashlar_rocks_iterator_free(ashlar_rocks_iterator *iterator) { delete iterator; }

ashlar_rocks_code ashlar_rocks_flush(ashlar_rocks *store) {
    return using_db(store, [&](rocksdb::DB &db) {
        return store->read_only ? ASHLAR_ROCKS_OK : flush(db);
    });
}

ashlar_rocks_code ashlar_rocks_compact(ashlar_rocks *store) {
    return using_db(store, [&](rocksdb::DB &db) -> ashlar_rocks_code {
        if (store->read_only) { return fail_read_only(); }
        const ashlar_rocks_code flushed = flush(db);
        if (flushed != ASHLAR_ROCKS_OK) { return flushed; }
        rocksdb::CompactRangeOptions options;
        options.bottommost_level_compaction =
            rocksdb::BottommostLevelCompaction::kForceOptimized;
        return report(db.CompactRange(options, nullptr, nullptr));
    });
}

uint64_t ashlar_rocks_stored_bytes(ashlar_rocks *store) {
    uint64_t bytes = 0;
    (void)using_db(store, [&](rocksdb::DB &db) {
        bytes = property(db, rocksdb::DB::Properties::kTotalSstFilesSize);
        return ASHLAR_ROCKS_OK;
    });
    return bytes;
}

// Memtables are charged to the cache in steps of 256 KiB and given back late: counted exactly here.
uint64_t ashlar_rocks_memory_bytes(ashlar_rocks *store) {
    uint64_t bytes = 0;
    (void)using_db(store, [&](rocksdb::DB &) {
        const size_t cached = store->configuration.cache->GetUsage();
        const auto &memtables = *store->configuration.write_buffers;
        const size_t charged = memtables.dummy_entries_in_cache_usage();
        bytes = cached - std::min(charged, cached) + memtables.memory_usage();
        return ASHLAR_ROCKS_OK;
    });
    return bytes;
}
