# Counts the tests in the output of XCTest on Linux. Prints `passed failed skipped closed`, where
# closed is 1 if the whole run came to its end.
#
# Read are the lines
#     Test Case 'Class.method' started at …
#     Test Case 'Class.method' passed|failed|skipped (0.001 seconds)
# anywhere in a line, since a test may have written before them without a line end, and
#     Test Suite 'All tests' passed|failed at …     ('Selected tests' under a filter)
#          Executed 84 tests, with 1 test skipped and 0 failures (0 unexpected) in 1.2 (1.2) seconds
# The closing line is right about how many tests ran and were skipped even where output has torn a
# line of a test; its failures are failed assertions, of which one test may have many, so failed
# tests are counted by their own lines. Without a closing line the process has died: the test that
# was under way then counts as failed.

function number_in(text, pattern) {
    return match(text, pattern) ? substr(text, RSTART, RLENGTH) + 0 : 0
}

/Test Case '[^']+' started at / { underway++ }
/Test Case '[^']+' passed \(/ { underway--; passed_lines++ }
/Test Case '[^']+' failed \(/ { underway--; failed_lines++ }
/Test Case '[^']+' skipped \(/ { underway--; skipped_lines++ }

/Test Suite '(All|Selected) tests' (passed|failed) at / { closing = 1; next }

closing && /Executed [0-9]+ tests?, with / {
    text = substr($0, index($0, "Executed ") + length("Executed "))
    executed += text + 0
    skipped += number_in(text, "[0-9]+ tests? skipped")
    assertions += number_in(text, "[0-9]+ failures?")
    closed = 1
    closing = 0
}

END {
    failed = failed_lines + 0
    if (closed) {
        if (assertions > 0 && failed == 0) failed = 1
        passed = executed - skipped - failed
        if (passed < 0) passed = 0
    } else {
        passed = passed_lines
        skipped = skipped_lines
        if (underway > 0) failed += underway
    }
    print passed + 0, failed + 0, skipped + 0, closed + 0
}
