// All that is asked of a mount is asked of one whose requests come by rings, too. Test discovery sees
// only what a class declares itself, hence the lists.
import XCTest

final class RingAttributeTests: AttributeTests {
    override class func setUp() { RingOffer.begin() }
    override class func tearDown() { RingOffer.end() }
    override func setUpWithError() throws {
        try RingOffer.require()
        try super.setUpWithError()
    }

    override func testModesOwnersAndTimes() throws { try super.testModesOwnersAndTimes() }
    override func testUmaskIsAppliedByTheVolume() throws {
        try super.testUmaskIsAppliedByTheVolume()
    }
    override func testFilesBelongToTheirMakers() throws { try super.testFilesBelongToTheirMakers() }
    override func testWritingByAUserDropsSetIdBits() throws {
        try super.testWritingByAUserDropsSetIdBits()
    }
    override func testChangingOwnerDropsSetIdBits() throws {
        try super.testChangingOwnerDropsSetIdBits()
    }
    override func testExtendedAttributes() throws { try super.testExtendedAttributes() }
    override func testAccessListByAnOutsiderClearsSetGroup() throws {
        try super.testAccessListByAnOutsiderClearsSetGroup()
    }
    override func testWithoutAccessLists() throws { try super.testWithoutAccessLists() }
    override func testUsage() throws { try super.testUsage() }
    override func testBirthTime() throws { try super.testBirthTime() }
    override func testFileFlagsAreRefused() throws { try super.testFileFlagsAreRefused() }
}

final class RingContentTests: ContentTests {
    override class func setUp() { RingOffer.begin() }
    override class func tearDown() { RingOffer.end() }
    override func setUpWithError() throws {
        try RingOffer.require()
        try super.setUpWithError()
    }

    override func testRandomWritesReadsAndTruncations() throws {
        try super.testRandomWritesReadsAndTruncations()
    }
    override func testLargeTransfersUseLargeRequests() throws {
        try super.testLargeTransfersUseLargeRequests()
    }
    override func testPagesSurviveReopening() throws { try super.testPagesSurviveReopening() }
    override func testAppend() throws { try super.testAppend() }
    override func testTruncatingOpenReachesTheVolume() throws {
        try super.testTruncatingOpenReachesTheVolume()
    }
    override func testExclusiveAndReadOnlyCreation() throws {
        try super.testExclusiveAndReadOnlyCreation()
    }
    override func testMappedWritesReachTheVolume() throws {
        try super.testMappedWritesReachTheVolume()
    }
    override func testSeekFindsDataAndHoles() throws { try super.testSeekFindsDataAndHoles() }
    override func testEmptyFilesAskForTheLargestWrites() throws {
        try super.testEmptyFilesAskForTheLargestWrites()
    }
    override func testAllocateAndPunch() throws { try super.testAllocateAndPunch() }
    override func testCopyRange() throws { try super.testCopyRange() }
    override func testSynchronizing() throws { try super.testSynchronizing() }
    override func testManyWritersAtOnce() throws { try super.testManyWritersAtOnce() }
}

final class RingNameTests: NameTests {
    override class func setUp() { RingOffer.begin() }
    override class func tearDown() { RingOffer.end() }
    override func setUpWithError() throws {
        try RingOffer.require()
        try super.setUpWithError()
    }

    override func testNamesOfAllBytes() throws { try super.testNamesOfAllBytes() }
    override func testLongestName() throws { try super.testLongestName() }
    override func testTwentyThousandEntries() throws { try super.testTwentyThousandEntries() }
    override func testEntriesRemovedWhileReading() throws {
        try super.testEntriesRemovedWhileReading()
    }
    override func testAbsentNamesAreCachedAndInvalidated() throws {
        try super.testAbsentNamesAreCachedAndInvalidated()
    }
    override func testInvalidatedInodeShowsNewContent() throws {
        try super.testInvalidatedInodeShowsNewContent()
    }
    override func testInvalidationsDuringRequestsDoNotDeadlock() throws {
        try super.testInvalidationsDuringRequestsDoNotDeadlock()
    }
    override func testEvictedInodesAreForgotten() throws {
        try super.testEvictedInodesAreForgotten()
    }
    override func testRenameFlags() throws { try super.testRenameFlags() }
    override func testDirectoriesAndTheirErrors() throws {
        try super.testDirectoriesAndTheirErrors()
    }
    override func testLinksAndSymbolicLinks() throws { try super.testLinksAndSymbolicLinks() }
    override func testUnlinkedOpenFileLivesUntilClosed() throws {
        try super.testUnlinkedOpenFileLivesUntilClosed()
    }
    override func testNodesOfEveryKind() throws { try super.testNodesOfEveryKind() }
}

final class RingRequestCountTests: RequestCountTests {
    override class func setUp() { RingOffer.begin() }
    override class func tearDown() { RingOffer.end() }
    override func setUpWithError() throws {
        try RingOffer.require()
        try super.setUpWithError()
    }

    override func testCopyOfAHundredSmallFiles() throws { try super.testCopyOfAHundredSmallFiles() }
    override func testOpeningAsksNothing() throws { try super.testOpeningAsksNothing() }
}

final class RingSessionTests: SessionTests {
    override class func setUp() { RingOffer.begin() }
    override class func tearDown() { RingOffer.end() }
    override func setUpWithError() throws {
        try RingOffer.require()
        try super.setUpWithError()
    }

    override func testShowsItsSourceTypeAndOptions() throws {
        try super.testShowsItsSourceTypeAndOptions()
    }
    override func testEndsWhenUnmountedFromOutside() throws {
        try super.testEndsWhenUnmountedFromOutside()
    }
    override func testRequestedExitUnmountsAndKeepsWhatWasMapped() throws {
        try super.testRequestedExitUnmountsAndKeepsWhatWasMapped()
    }
    override func testNoMappedWriteIsLostHoweverOftenMountsEnd() throws {
        try super.testNoMappedWriteIsLostHoweverOftenMountsEnd()
    }
    override func testThreadsEndWithTheSession() throws { try super.testThreadsEndWithTheSession() }
    override func testDirectoryBelowIsNotReachableWhileUsersOfADeadMountRemain() throws {
        try super.testDirectoryBelowIsNotReachableWhileUsersOfADeadMountRemain()
    }
    override func testASecondMountIsRefused() { super.testASecondMountIsRefused() }
    override func testMountingNowhereSaysWhy() throws { try super.testMountingNowhereSaysWhy() }
    override func testUnmountLeavesAnotherMountOnTop() throws {
        try super.testUnmountLeavesAnotherMountOnTop()
    }
    override func testSignalEndsTheLoop() throws { try super.testSignalEndsTheLoop() }
    override func testWhatIsServedIsAnsweredWhenTheLoopEnds() throws {
        try super.testWhatIsServedIsAnsweredWhenTheLoopEnds()
    }
    override func testReadOnlyMountAndRemount() throws { try super.testReadOnlyMountAndRemount() }
    override func testDirsyncMakesNamesDurable() throws { try super.testDirsyncMakesNamesDurable() }
    override func testWritebackCacheKeepsContent() throws {
        try super.testWritebackCacheKeepsContent()
    }
}
