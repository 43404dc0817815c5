//! The conformance suite: tests that every store runs.
//!
//! ```ignore
//! lentil_store::conformance::suite!(|clock| async move { TestStore::of(MyStore::open(clock)) });
//! ```
//!
//! Each test makes one statement. `model` compares random programs on the store with a plain map.
//! The suite for file stores is in [`files`].

pub mod committing;
pub mod counting;
pub mod files;
pub mod foreign;
pub mod growing;
pub mod model;
pub mod optimistic;
pub mod reading;
pub mod support;
pub mod unique;

pub use optimistic::OptimisticStore;
pub use support::{ManualClock, TestStore};

/// Makes a module with the tests of the suite. Each runs on a new store.
#[macro_export]
macro_rules! conformance_suite {
    ($make:expr) => {
        mod conformance {
            use super::*;

            $crate::conformance_tests! { $make;
                reading: committed_documents_are_read_back, a_snapshot_does_not_change, held_snapshots_do_not_change,
                    a_snapshot_does_not_wait_for_a_writer, a_scan_respects_interval_order_and_limit,
                    a_changed_key_replaces_the_old_entry, the_buffer_shows_uncommitted_writes,
                    savepoints_are_released_or_rolled_back;
                foreign: random_ids_with_equal_creation_times_are_stored,
                    local_and_imported_documents_share_a_table, any_creation_time_is_ordered,
                    a_document_may_change_its_creation_time, an_index_is_built_over_imported_documents;
                counting: a_count_respects_interval_and_limit, a_long_count_is_exact,
                    the_buffer_counts_uncommitted_writes;
                unique: duplicates_are_found_in_the_store_and_in_the_buffer, documents_may_swap_keys_within_a_mutation,
                    a_savepoint_is_checked_for_its_own_writes, two_missing_fields_are_duplicates,
                    concurrent_inserts_of_one_key_commit_once, a_key_of_several_fields_is_compared_whole,
                    duplicates_are_found_before_an_index_becomes_unique;
                committing: a_dropped_transaction_leaves_nothing, a_transaction_sees_every_earlier_commit,
                    timestamps_increase_when_the_clock_does_not, an_empty_commit_allocates_no_timestamp,
                    the_observer_is_notified_once_in_order_before_publication, an_acknowledged_commit_is_published,
                    a_commit_reports_old_and_new_keys, a_closed_store_rejects_calls,
                    a_commit_with_a_dropped_caller_is_atomic, concurrent_increments_are_all_kept,
                    an_exclusive_transaction_never_conflicts, catching_up_reaches_every_acknowledged_commit;
                growing: an_index_is_built_in_steps,
                    an_undeclared_index_is_removed, table_numbers_are_never_reused;
            }

            #[tokio::test(start_paused = true)]
            async fn waiting_too_long_for_the_write_lock_fails() {
                $crate::conformance::committing::waiting_too_long_for_the_write_lock_fails(&$make).await;
            }

            #[test]
            fn random_programs_match_a_plain_map() {
                $crate::conformance::model::random_programs_match_a_plain_map(&$make);
            }
        }
    };
}

/// Makes one test for each function. It is a part of [`suite!`].
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr; $($module:ident: $($name:ident),+ ;)*) => {
        $($(
            #[tokio::test]
            async fn $name() {
                $crate::conformance::$module::$name(&$make).await;
            }
        )+)*
    };
}

pub use crate::conformance_suite as suite;

#[cfg(test)]
mod memory_store {
    use crate::conformance::{TestStore, suite};
    use crate::memory::MemoryStore;

    suite!(|clock| async move { TestStore::of(MemoryStore::new(clock)) });
}

#[cfg(test)]
mod optimistic_store {
    use crate::conformance::{OptimisticStore, TestStore, suite};

    suite!(|clock| async move { TestStore::of(OptimisticStore::new(clock)) });
}

#[cfg(test)]
mod memory_files {
    use crate::conformance::files::{TestFiles, suite};
    use crate::memory_files::MemoryFiles;

    suite!(|| async { TestFiles::of(MemoryFiles::new()) });
}
