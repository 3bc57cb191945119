cat <<'END'
KTAP version 1
1..2
    KTAP version 1
    # Subtest: outer
    1..3
    ok 1 one
    not ok 2 two # exit=1
    ok 3 three # SKIP no such thing
not ok 1 outer
ok 2 alone
END
