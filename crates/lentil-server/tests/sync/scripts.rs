use crate::script::run;

macro_rules! scripts {
    ($($name:ident: $script:literal,)*) => {
        $(#[tokio::test]
        async fn $name() {
            run($script).await;
        })*
    };
}

scripts! {
    two_clients_see_each_others_writes_once_each: r#"
        a > connect s1
        b > connect s2
        a > modify 0->1 add 0 lists:all {"list":"x"}
        a < Transition 1.0 0=[]
        b > modify 0->1 add 7 lists:all {"list":"x"}; add 8 lists:count {"list":"y"}
        b < Transition 1.0 7=[] 8=0.0
        b > mutation 0 lists:push {"list":"x","text":"hi"}
        b < MutationResponse 0 = 1.0
        b < Transition 1.0 7=["hi"]
        a < Transition 1.0 0=["hi"]
        a > mutation 0 lists:push {"list":"y","text":"ho"}
        a < MutationResponse 0 = 1.0
        a < Transition 1.0
        b < Transition 1.0 8=1.0
        b .
    "#,
    an_empty_change_is_answered_and_a_commit_elsewhere_is_not_told: r#"
        a > connect s1
        a > modify 0->1
        a < Transition 1.0
        a > modify 1->5 add 0 lists:all {"list":"x"}
        a < Transition 5.0 0=[]
        b > connect s2
        b > mutation 0 lists:push {"list":"elsewhere","text":"hi"}
        b < MutationResponse 0 = 1.0
        b < Transition 0.0
        a .
    "#,
    queries_are_added_removed_and_added_again: r#"
        a > connect s1
        a > modify 0->1 add 0 lists:count {"list":"x"}; add 1 lists:count {"list":"x"}
        a < Transition 1.0 0=0.0 1=0.0
        a > modify 1->2 remove 0
        a < Transition 2.0 -0
        a > mutation 0 lists:push {"list":"x","text":"hi"}
        a < MutationResponse 0 = 1.0
        a < Transition 2.0 1=1.0
        a > modify 2->3 add 0 lists:count {"list":"x"}
        a < Transition 3.0 0=1.0
    "#,
    unknown_internal_and_wrong_functions_fail_alike_and_alone: r#"
        a > connect s1
        a > modify 0->1 add 0 lists:hidden {"list":"x"}; add 1 lists:lost {"list":"x"}; add 2 lists:count {"list":5}; add 3 lists.js:count {"list":"x"}
        a < Transition 1.0 0!Server Error / Could not find public function for 'lists:hidden' 1!Server Error / Could not find public function for 'lists:lost' 2!Server Error / ArgumentValidationError: argument `list`: expected v.string(), got 5 3=0.0
        a > mutation 0 lists:count {"list":"x"}
        a < MutationResponse 0 ! Server Error / `lists:count` is a Query, and was called as a Mutation
        a < Transition 1.0
    "#,
    a_failed_query_is_live_and_its_data_is_told: r#"
        a > connect s1
        a > modify 0->1 add 0 lists:mustBeEmpty {"list":"x"}
        a < Transition 1.0 0=null
        a > mutation 0 lists:push {"list":"x","text":"hi"}
        a < MutationResponse 0 = 1.0
        a < Transition 1.0 0!Server Error 1.0
        a > mutation 1 lists:push {"list":"x","text":"ho"}
        a < MutationResponse 1 = 2.0
        a < Transition 1.0 0!Server Error 2.0
    "#,
    mutations_run_in_order_and_errors_show_their_data_alone: r#"
        a > connect s1
        a > mutation 0 lists:fail {"data":null}
        a < MutationResponse 0 ! Server Error null
        a < Transition 0.0
        a > mutation 1 lists:breakDown {}
        a < MutationResponse 1 ! Server Error
        a < Transition 0.0
        a > action 2 lists:shout {"list":"x","text":"hi"}
        a < ActionResponse 2 = "HI"
        a < Transition 0.0
    "#,
    a_mutation_asked_for_again_is_answered_and_not_run: r#"
        a > connect s1
        a > mutation 0 lists:push {"list":"x","text":"hi"}
        a < MutationResponse 0 = 1.0
        a < Transition 0.0
        b > connect s1 1
        b > modify 0->1 add 0 lists:all {"list":"x"}
        b < Transition 1.0 0=["hi"]
        b > mutation 0 lists:push {"list":"x","text":"hi"}
        b < MutationResponse 0 = 1.0
        b < Transition 1.0
        b > mutation 1 lists:push {"list":"x","text":"ho"}
        b < MutationResponse 1 = 2.0
        b < Transition 1.0 0=["hi","ho"]
    "#,
    a_page_grows_where_its_journal_says: r#"
        a > connect s1
        a > mutation 0 lists:push {"list":"x","text":"1"}
        a < MutationResponse 0 = 1.0
        a < Transition 0.0
        a > modify 0->1 add 0 lists:page {"list":"x","paginationOpts":{"numItems":5,"cursor":null}}
        a < Transition 1.0 0=["1"] @
        a > mutation 1 lists:push {"list":"x","text":"2"}
        a < MutationResponse 1 = 2.0
        a < Transition 1.0 0=["1","2"] @
    "#,
    a_change_of_identity_runs_the_queries_again: r#"
        a > connect s1
        a > auth 0 user ada
        a < Transition 0.1
        a > modify 0->1 add 0 me:name {}; add 1 lists:count {"list":"x"}; add 2 lists:hidden {"list":"x"}
        a < Transition 1.1 0="ada" 1=0.0 2!Server Error / Could not find public function for 'lists:hidden'
        a > auth 1 user bob
        a < Transition 1.2 0="bob"
        a > auth 2 admin
        a < Transition 1.3 0=null 2=0.0
        a > auth 3 admin key as cy
        a < Transition 1.4 0="cy"
        a > auth 4 none
        a < Transition 1.5 0=null 2!Server Error / Could not find public function for 'lists:hidden'
    "#,
    a_token_that_is_not_good_ends_the_connection: r#"
        a > connect s1
        a > auth 0 user nobody
        a > modify 0->1 add 0 me:name {}
        a < AuthError 0 true
        a < Close without a code
        b > connect s2
        b > auth 0 admin wrong
        b < AuthError 0 true
        b < Close without a code
        c > connect s3
        c > auth 0 user ada for -60
        c < AuthError 0 true
        c < Close without a code
    "#,
    a_token_that_expires_ends_the_connection: r#"
        a > connect s1
        a > auth 0 user ada for 1
        a < Transition 0.1
        a < AuthError 1 false
        a < Close without a code
    "#,
    whoever_breaks_the_protocol_is_told_and_let_go: r#"
        a > connect s1
        a > raw {"type":"Dance"}
        a < FatalError Received Invalid JSON on websocket: unknown variant `Dance`, expected one of `Connect`, `ModifyQuerySet`, `Mutation`, `Action`, `Authenticate`, `Event` at line 1 column 15
        a < Close without a code
        b > binary
        b < FatalError a binary message; messages are text
        b < Close without a code
        c > connect s1
        c > modify 3->4
        c < FatalError BaseVersionMismatch: the query set is at 0; it cannot go from 3 to 4
        c < Close without a code
        d > connect s1
        d > auth 3 none
        d < FatalError BaseVersionMismatch: the identity is at version 0, not 3
        d < Close without a code
        e > connect s1
        e > modify 0->1 add 0 lists:all {"list":"x"}; add 0 lists:all {"list":"x"}
        e < Close 1011 QueryAddedTwiceOrRemovedUnknown
        f > connect s1
        f > connect s1
        f < FatalError a second `Connect` on one connection
        f < Close without a code
        g > connect s1 1 9000000000000000000
        g < Close 1011 ClientIsAheadOfTheDatabase
    "#,
    a_long_transition_comes_in_chunks_to_those_who_take_them: r#"
        a > connect s1
        a > modify 0->1 add 0 lists:long {}
        a < 2 parts: Transition 1.0 0=(6000002 bytes)
        A > connect s2
        A > modify 0->1 add 0 lists:long {}
        A < Transition 1.0 0=(6000002 bytes)
    "#,
    a_server_that_stops_says_so: r#"
        a > connect s1
        a > modify 0->1 add 0 lists:all {"list":"x"}
        a < Transition 1.0 0=[]
        drain
        a < Close 1012 ServerIsStopping
    "#,
    what_is_no_measure_of_ours_is_passed_over: r#"
        a > connect s1
        a > raw {"type":"Event","eventType":"ClientConnect","event":[1]}
        a > modify 0->1
        a < Transition 1.0
    "#,
}

#[tokio::test]
async fn a_client_that_presents_many_wrong_admin_keys_is_sent_away() {
    let mut script = String::new();
    for number in 0..10 {
        let client = format!("w{number}");
        script.push_str(&format!(
            "{client} > connect s1\n{client} > auth 0 admin wrong\n{client} < AuthError 0 true\n{client} < Close without a code\n"
        ));
    }
    script
        .push_str("a > connect s1\na > auth 0 admin key\na < Close 1013 TooManyFailedAdminKeys\n");
    run(&script).await;
}
