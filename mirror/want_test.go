package mirror_test

import (
	"encoding/json"
	"testing"

	"airmirror/mirror"
)

// TestWantsOfEarlierVersionsAreRead reads a want of an earlier version, and one that was written now.
func TestWantsOfEarlierVersionsAreRead(t *testing.T) {
	var old, again mirror.Want
	if err := json.Unmarshal([]byte(`{"ref":"docker.io/library/alpine:3","count":2}`), &old); err != nil || old.Ref != "docker.io/library/alpine:3" || old.Count != 2 {
		t.Errorf("an earlier want: %+v, %v", old, err)
	}
	text, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &again); err != nil || again.Ref != old.Ref {
		t.Errorf("%s is read as %+v, %v", text, again, err)
	}
	if err := json.Unmarshal([]byte(`{"count":"many"}`), &again); err == nil {
		t.Error("a want with a text as its count is read")
	}
}
