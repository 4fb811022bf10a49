//! One suite per port, held against every implementation: every sentence of a trait's `# Contract` is a function, and
//! runs in memory and over HTTP against the local AWS.
//!
//! `objects` and `log` hold the sentences, `failure` and `conditions` what AWS answers when it does not do as asked,
//! which memory never answers by itself; `subject` makes what is tested.

#![allow(clippy::expect_used, reason = "clippy takes helpers of an integration test for no test")]

#[path = "conformance/conditions.rs"]
mod conditions;
#[path = "conformance/failure.rs"]
mod failure;
#[path = "conformance/log.rs"]
mod log;
#[path = "conformance/objects.rs"]
mod objects;
#[path = "conformance/subject.rs"]
mod subject;

/// Makes a test of each function, for each subject.
macro_rules! conforms {
    ($suite:ident $subjects:tt $sentences:tt) => {
        mod $suite {
            conforms!(@each $suite $subjects $sentences);
        }
    };
    (@each $suite:ident {$($place:ident: $subject:ident,)+} $sentences:tt) => {
        $(mod $place {
            conforms!(@place $suite $subject $sentences);
        })+
    };
    (@place $suite:ident $subject:ident {$($sentence:ident,)+}) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $sentence() {
            crate::$suite::$sentence(crate::subject::$subject().await).await;
        })+
    };
}

mod every {
    conforms!(objects {
        in_memory: memory_bucket,
        on_aws: aws_bucket,
        without_delete: bucket_without_delete,
        without_leave_to_delete: bucket_without_leave_to_delete,
    } {
        a_read_sees_the_write_before_it,
        a_write_is_whole_or_not_at_all,
        of_racing_writes_one_wins,
        different_bytes_have_different_etags,
        a_refused_write_changes_nothing,
        a_deleted_object_is_gone_and_can_be_written_again,
        a_known_version_is_not_sent_again,
        a_listing_is_whole_when_no_page_is_next,
        what_stays_is_listed_once_whatever_comes_and_goes,
        keys_may_hold_odd_characters,
        a_body_may_be_large_but_neither_too_large_nor_empty,
        times_are_whole_seconds_when_read,
        what_is_stored_after_the_time_was_told_is_not_older,
    });

    conforms!(log {
        in_memory: memory_stream,
        on_aws: aws_stream,
    } {
        records_of_a_key_stay_in_order,
        five_hundred_entries_get_a_result_each,
        a_cursor_begins_where_it_was_asked_to,
        a_read_gives_no_more_than_it_was_asked_for,
        a_split_shard_is_read_to_its_end,
        a_merged_shard_names_both_parents,
        what_breaks_a_limit_is_refused_whole,
    });
}
