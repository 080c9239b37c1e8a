package proxy

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"airmirror/mirror"
)

// storedScrub is the progress of a scrub as existing data folders have it.
const storedScrub = `{"after":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","done":true,"summary":` + storedSummary + `}`

const storedSummary = `{"started":"2026-11-30T10:00:00Z","seconds":1.5,"repair":true,"files":10,"bytes":4096,` +
	`"flaws":{"damaged":1,"missing":2},"mended":3,"fetched":2,"wanted":1,"failed":1,"incomplete":4}`

func TestVerificationOfADataFolderIsRead(t *testing.T) {
	want := mirror.VerifySummary{
		Started: time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC), Seconds: 1.5, Repair: true, Files: 10, Bytes: 4096,
		Defects:  map[mirror.DefectKind]int{mirror.Damaged: 1, mirror.Missing: 2},
		Repaired: 3, Fetched: 2, Wanted: 1, Failed: 1, Incomplete: 4,
	}
	var run scrubRun
	if err := json.Unmarshal([]byte(storedScrub), &run); err != nil || !run.Done || run.After == "" || !reflect.DeepEqual(mirror.VerifySummary(run.Summary), want) {
		t.Errorf("read %+v, %v", run, err)
	}
	if text, err := json.Marshal(run); err != nil || string(text) != storedScrub {
		t.Errorf("written %s, %v\nwant %s", text, err, storedScrub)
	}
	if text, err := json.Marshal(verifyRecord(want)); err != nil || string(text) != storedSummary {
		t.Errorf("written %s, %v\nwant %s", text, err, storedSummary)
	}
}
