/// Each file in `compile_fail/` is one misuse, and beside it is what the compiler says to it.
#[test]
fn misuse_does_not_compile_and_is_told_in_our_words() {
    trybuild::TestCases::new().compile_fail("tests/it/compile_fail/*.rs");
}
