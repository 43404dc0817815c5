//! What every store must do, as tests that each store runs.
//!
//! ```ignore
//! lentil_store::conformance::suite!(|clock| async move { Made::of(MyStore::open(clock)) });
//! ```
//!
//! The statements are in `reading`, `foreign`, `counting`, `committing`, `unique` and `growing`; `model` runs random
//! programs on the store beside a plain map. The statements for stores of files are in [`files`].

pub mod aids;
pub mod committing;
pub mod counting;
pub mod files;
pub mod foreign;
pub mod growing;
pub mod model;
pub mod reading;
pub mod unique;

pub use aids::{Made, ManualClock};

/// Makes a module of tests: each statement of the suite, on a store of its own.
#[macro_export]
macro_rules! conformance_suite {
    ($make:expr) => {
        mod conformance {
            use super::*;

            $crate::conformance_tests! { $make;
                reading: what_is_committed_is_read_back, a_snapshot_does_not_move, held_snapshots_do_not_move,
                    a_snapshot_does_not_wait_for_a_writer, a_scan_keeps_to_interval_order_and_limit,
                    a_moved_document_is_found_at_its_new_key_alone, the_buffer_shows_what_is_not_yet_committed,
                    layers_are_kept_or_undone;
                foreign: random_ids_with_equal_creation_times_are_kept,
                    documents_made_here_and_elsewhere_share_a_table, any_creation_time_has_its_place,
                    a_document_may_change_its_creation_time, an_index_is_built_over_documents_of_another_database;
                counting: a_count_keeps_to_interval_and_limit, a_long_count_is_exact,
                    the_buffer_counts_what_is_not_yet_committed;
                unique: two_documents_with_one_key_are_found, a_key_may_change_hands_within_a_mutation,
                    a_layer_answers_for_what_it_wrote, what_is_missing_is_taken_once,
                    one_key_sought_side_by_side_is_taken_once, a_key_of_several_fields_is_equal_in_all,
                    documents_that_share_a_key_are_found_before_an_index_is_unique;
                committing: a_dropped_transaction_leaves_nothing, a_transaction_sees_every_commit_before_it,
                    timestamps_increase_though_the_clock_does_not, an_empty_commit_makes_no_timestamp,
                    the_observer_is_told_once_in_order_before_anyone, an_acknowledged_commit_is_published,
                    written_keys_are_the_old_and_the_new, a_closed_store_refuses,
                    a_commit_whose_caller_is_gone_happens_whole_or_not_at_all, increments_side_by_side_lose_none;
                growing: an_index_is_built_over_what_is_there_step_by_step,
                    an_index_no_longer_declared_is_removed, table_numbers_are_never_used_again;
            }

            #[tokio::test(start_paused = true)]
            async fn one_that_waits_too_long_for_its_turn_is_told_so() {
                $crate::conformance::committing::one_that_waits_too_long_for_its_turn_is_told_so(&$make).await;
            }

            #[test]
            fn random_programs_run_as_on_a_plain_map() {
                $crate::conformance::model::random_programs_run_as_on_a_plain_map(&$make);
            }
        }
    };
}

/// A test for each statement; a part of [`suite!`].
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
