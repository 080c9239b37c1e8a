package gc

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// storedResult is a record as data folders have it since collections are recorded.
const storedResult = `{"began":"2026-11-30T10:00:00Z","seconds":1.5,"images":1,"manifests":2,"tags":0,"blobs":5,"uploads":0,"orphans":1,"bytes":4096,"planned":8192,` +
	`"budget":{"held":20000,"maxSize":10000,"shrinkTo":9000,"need":11000,"short":6904,"shortWhy":"the policy keeps 2 images (pinned)"},` +
	`"waiting":{"images":1,"blobs":3,"bytes":300,"grace":"1h0m0s","until":"2026-11-30T11:00:00Z"},"kept":1,` +
	`"stayed":[{"kind":"image","name":"docker.io/team/app:1","tags":["1"],"manifests":1,"size":100,"freed":0,"why":"least recently used","kept":"it was pulled since"}],` +
	`"longestTransactionMillis":2.5,"cause":"schedule","error":"context canceled"}`

func TestResultOfADataFolderIsRead(t *testing.T) {
	began := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	want := Result{
		Began: began, Seconds: 1.5, Totals: Totals{Images: 1, Manifests: 2, Blobs: 5, Orphans: 1, Bytes: 4096}, Planned: 8192,
		Budget:  Budget{Stored: 20000, MaxSize: 10000, ShrinkTo: 9000, Need: 11000, Shortfall: 6904, Reason: "the policy keeps 2 images (pinned)"},
		InGrace: GraceTotals{Images: 1, Blobs: 3, Bytes: 300, Grace: Age(time.Hour), Until: began.Add(time.Hour)},
		Kept:    1,
		KeptFirst: []Candidate{{
			Kind: Image, Name: "docker.io/team/app:1", Tags: []string{"1"}, Manifests: 1, Size: 100, Reason: "least recently used", Kept: "it was pulled since",
		}},
		LongestMillis: 2.5, Cause: BySchedule, Error: "context canceled",
	}
	got, err := decodeResult([]byte(storedResult))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v\nwant %+v", got, err, want)
	}
	written, err := encodeResult(want)
	again := strings.Replace(storedResult, "1h0m0s", "1h", 1) // durations are written in their short form
	var a, b any
	if err != nil || json.Unmarshal(written, &a) != nil || json.Unmarshal([]byte(again), &b) != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("written %s, %v\nwant %s", written, err, again)
	}
}
