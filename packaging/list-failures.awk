# Lists the tests that failed in the output of XCTest on Linux, each with its error lines, so that
# the end of a log tells what went wrong. Prints nothing where nothing failed, and at most LINES_MAX
# lines (60 unless given by -v): every name that has room, the errors sharing what names leave.
#
# Read are the lines that count-tests.awk reads, with the same reasons, and of the errors
#     /path/File.swift:12: error: Class.method : XCTAssertTrue failed
#     Module/File.swift:12: Fatal error: Index out of range
#     error: Exited with unexpected signal code 11
# A test that was under way when the log ended counts as failed. What was said between tests is
# listed by itself.

BEGIN {
    if (LINES_MAX == 0) LINES_MAX = 60
    line_length_max = 500
    outside = "outside of tests"
    current = outside
}

# The name between the quotes of the last `Test Case '…' VERB` in the line.
function name_in(text, verb,    end) {
    end = index(text, "' " verb)
    text = substr(text, 1, end - 1)
    while (match(text, /Test Case '/)) text = substr(text, RSTART + RLENGTH)
    return text
}

function fail(name) {
    if (!(name in is_failed)) {
        is_failed[name] = 1
        names[++name_count] = name
    }
}

/(\.swift:[0-9]+: error: |: Fatal error: |^error: )/ {
    text = $0
    if (length(text) > line_length_max) text = substr(text, 1, line_length_max) " …"
    error_counts[current]++
    errors[current, error_counts[current]] = text
    if (current == outside) fail(outside)
}

/Test Case '[^']+' started at / { current = name_in($0, "started at ") }
/Test Case '[^']+' failed \(/ { fail(name_in($0, "failed (")); current = outside }
/Test Case '[^']+' (passed|skipped) \(/ { current = outside }
# The line that ends a test may be torn; suites are told of between tests only.
/Test Suite '[^']+' (started|passed|failed) at / { current = outside }

END {
    if (current != outside) fail(current)
    if (name_count == 0) exit
    lines_left = LINES_MAX - 1
    print "failed tests:"
    if (name_count > lines_left) {
        shown = lines_left - 1
        per_test = 0
    } else {
        shown = name_count
        # Of each test's share one line may say how many errors are not shown.
        per_test = int((lines_left - name_count) / name_count)
    }
    for (place = 1; place <= shown; place++) {
        name = names[place]
        print "  " name
        count = error_counts[name] + 0
        listed = count <= per_test ? count : per_test - 1
        for (number = 1; number <= listed; number++) print "    " errors[name, number]
        if (listed < count && per_test > 0) print "    … and " count - listed " more errors"
    }
    if (shown < name_count) print "  … and " name_count - shown " more"
}
