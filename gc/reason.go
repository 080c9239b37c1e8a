package gc

// The reasons that have no values. Each has a code, which does not change, for programs that translate it.
const (
	reasonGrace      = "used, tagged or added within the grace period"
	reasonPinned     = "pinned"
	reasonInUse      = "in use by a transfer"
	reasonUntagged   = "untagged"
	reasonKeptTag    = "a retention rule keeps its tag"
	reasonPushed     = "pushed"
	reasonImported   = "imported"
	reasonDependency = "something pushed or imported depends on it"
	reasonLeastUsed  = "least recently used"
	reasonUnused     = "without a manifest, but added, linked or requested within the grace period"
	reasonBlob       = "no manifest uses it"
	reasonUpload     = "stale: nothing was written for a long time"
	reasonOrphan     = "orphaned by a crash: not in the index"
	reasonRemoved    = "removed by name"
)

var reasonCodes = map[string]string{
	reasonGrace: "grace", reasonPinned: "pinned", reasonInUse: "transfer", reasonUntagged: "untagged", reasonKeptTag: "keepTag",
	reasonPushed: "pushed", reasonImported: "imported", reasonDependency: "dependency", reasonLeastUsed: "leastUsed",
	reasonUnused: "unused", reasonBlob: "blob", reasonUpload: "upload", reasonOrphan: "orphan", reasonRemoved: "removed",
}

// ReasonCodes returns the codes of all reasons that have one.
func ReasonCodes() (codes []string) {
	for _, code := range reasonCodes {
		codes = append(codes, code)
	}
	return codes
}
