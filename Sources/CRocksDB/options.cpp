// One memory budget and what is known of RocksDB 7.8.3, turned into its options.
//
// The budget, less a slack for malloc, is the capacity of one LRU cache. Data blocks, index and
// filter partitions lie in it; memtables, table readers, file metadata and filters under
// construction are charged to it, so that they push blocks out. HyperClockCache is not used:
// experimental before 7.9, its table is fixed by a guess of the mean entry (here 4 KiB blocks
// beside values of MB and charges of 256 KiB), and what it wins, it wins with many more threads
// than call here.
//
// Kept away from: max_background_jobs >= 8 (several flushes at once and more than two memtables
// reorder updates when a failed flush is retried; fixed in 7.9), automatic resuming after
// background errors (races with closing; fixed in 8.9), DeleteRange, atomic_flush, mmap,
// async_io, BlobDB.

#include <sys/resource.h>

#include <algorithm>

#include "internal.hpp"
#include "rocksdb/convenience.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/table.h"

namespace {

constexpr uint64_t mebibyte = uint64_t{1} << 20;
constexpr uint64_t budget_bytes_min = 4 * mebibyte;
constexpr uint64_t memtable_bytes_min = mebibyte / 2;
constexpr uint64_t memtable_bytes_max = 32 * mebibyte;
// Of the budget, for what malloc loses in gaps between blocks: measured at a sixth of the cache.
constexpr uint64_t slack_divisor = 8;
constexpr int memtables_max = 3;  // one being filled, two on their way to the disk
constexpr uint64_t table_bytes = 32 * mebibyte;
constexpr uint64_t first_level_bytes_min = 64 * mebibyte;
constexpr uint64_t manifest_bytes_max = 8 * mebibyte;
constexpr uint64_t write_back_step_bytes = mebibyte;
constexpr uint64_t compaction_readahead_bytes = 256 * 1024;
constexpr double filter_bits_per_key = 10;  // about 1 % false positives
constexpr int open_files_min = 32;
constexpr int open_files_max = 512;

class DiscardingLogger final : public rocksdb::Logger {
public:
    DiscardingLogger() : Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
    using Logger::Logv;
    void Logv(const char *, va_list) override {}
};

// An eighth of what the process may open, within bounds: the packs and sockets want theirs too.
int open_files_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) { return open_files_min; }
    rlim_t share = std::min<rlim_t>(limit.rlim_cur / 8, open_files_max);
    return std::max(static_cast<int>(share), open_files_min);
}

rocksdb::CompressionType compression_of_last_level() {
    const auto available = rocksdb::GetSupportedCompressions();
    for (auto type : {rocksdb::kLZ4Compression, rocksdb::kZSTD}) {
        if (std::find(available.begin(), available.end(), type) != available.end()) { return type; }
    }
    return rocksdb::kNoCompression;
}

// Index and filters are cut into 4 KiB partitions that come and go like data blocks: whole ones
// of a 32 MiB table would be some hundred KiB, too much to read for one key with a small cache.
rocksdb::BlockBasedTableOptions table_options(const std::shared_ptr<rocksdb::Cache> &cache) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = cache;
    table.block_size = 4096;
    table.format_version = 5;
    table.checksum = rocksdb::kXXH3;
    table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
    table.partition_filters = true;
    table.metadata_block_size = 4096;
    table.cache_index_and_filter_blocks = true;
    table.cache_index_and_filter_blocks_with_high_priority = true;
    table.metadata_cache_options.top_level_index_pinning = rocksdb::PinningTier::kAll;
    table.metadata_cache_options.partition_pinning = rocksdb::PinningTier::kNone;
    table.metadata_cache_options.unpartitioned_pinning = rocksdb::PinningTier::kNone;
    table.whole_key_filtering = true;
    // Bloom where tables are short-lived (flushes, level 0), ribbon below: 30 % smaller.
    table.filter_policy.reset(rocksdb::NewRibbonFilterPolicy(filter_bits_per_key, 1));
    table.optimize_filters_for_memory = true;
    for (auto role :
         {rocksdb::CacheEntryRole::kFilterConstruction, rocksdb::CacheEntryRole::kFileMetadata,
          rocksdb::CacheEntryRole::kBlockBasedTableReader}) {
        rocksdb::CacheEntryRoleOptions charged;
        charged.charged = rocksdb::CacheEntryRoleOptions::Decision::kEnabled;
        table.cache_usage_options.options_overrides[role] = charged;
    }
    return table;
}

void set_levels(rocksdb::Options &options, uint64_t memtable_bytes) {
    options.compaction_style = rocksdb::kCompactionStyleLevel;
    options.level_compaction_dynamic_level_bytes = true;
    options.target_file_size_base = table_bytes;
    options.max_bytes_for_level_base = std::max(4 * memtable_bytes, first_level_bytes_min);
    options.compression = rocksdb::kNoCompression;
    options.bottommost_compression = compression_of_last_level();
    options.compaction_readahead_size = compaction_readahead_bytes;
    options.bytes_per_sync = write_back_step_bytes;
    options.ttl = 0;                          // nothing here depends on a clock
    options.periodic_compaction_seconds = 0;
}

void set_memtables(rocksdb::Options &options, uint64_t memtable_bytes) {
    options.write_buffer_size = memtable_bytes;
    options.max_write_buffer_number = memtables_max;
    options.min_write_buffer_number_to_merge = 1;
    options.arena_block_size = std::min(memtable_bytes / 8, mebibyte);
    options.memtable_prefix_bloom_size_ratio = 0.02;
    options.memtable_whole_key_filtering = true;
}

void set_files(rocksdb::Options &options) {
    options.max_open_files = open_files_limit();
    options.max_file_opening_threads = 2;
    options.max_manifest_file_size = manifest_bytes_max;
    options.allow_mmap_reads = false;
    options.allow_mmap_writes = false;
    options.recycle_log_file_num = 0;
    options.keep_log_file_num = 1;
    options.info_log = ashlar::discarding_logger();
    options.stats_dump_period_sec = 0;
    options.stats_persist_period_sec = 0;
    options.skip_stats_update_on_db_open = true;
    options.avoid_unnecessary_blocking_io = true;
}

void set_safety(rocksdb::Options &options) {
    options.paranoid_checks = true;
    options.force_consistency_checks = true;
    options.verify_sst_unique_id_in_manifest = true;
    options.skip_checking_sst_file_sizes_on_db_open = false;
    options.max_bgerror_resume_count = 0;
    // What was not flushed is dropped at closing; ashlar_rocks_close flushes when it is asked to.
    options.avoid_flush_during_shutdown = true;
}

}  // namespace

namespace ashlar {

std::shared_ptr<rocksdb::Logger> discarding_logger() {
    return std::make_shared<DiscardingLogger>();
}

Configuration configure(const ashlar_rocks_options &wanted) {
    Configuration result;
    const uint64_t budget = std::max(wanted.memory_bytes, budget_bytes_min);
    const uint64_t memtable_bytes =
        std::clamp(budget / 8, memtable_bytes_min, memtable_bytes_max);

    rocksdb::LRUCacheOptions cache;
    cache.capacity = budget - budget / slack_divisor;
    // Shards of a MiB at least, so that a charge of 256 KiB is a small part of each.
    cache.num_shard_bits = budget < 16 * mebibyte ? 2 : 4;
    // Not strict: a read must not fail because other reads hold blocks.
    cache.strict_capacity_limit = false;
    cache.high_pri_pool_ratio = 0.5;
    result.cache = rocksdb::NewLRUCache(cache);
    result.write_buffers = std::make_shared<rocksdb::WriteBufferManager>(
        memtable_bytes * memtables_max, result.cache, /* allow_stall */ false);

    rocksdb::Options &options = result.options;
    options.create_if_missing = wanted.create && !wanted.read_only;
    options.max_background_jobs = static_cast<int>(std::clamp(wanted.background_jobs, 2u, 4u));
    options.write_buffer_manager = result.write_buffers;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options(result.cache)));
    set_memtables(options, memtable_bytes);
    set_levels(options, memtable_bytes);
    set_files(options);
    set_safety(options);
    return result;
}

}  // namespace ashlar
