package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"airmirror/api/admin"
)

func TestEventsArriveInOrder(t *testing.T) {
	job := func(_ context.Context, _ json.RawMessage, _ io.Reader, report admin.Report) error {
		report.Progress(admin.Progress{Done: 1, Total: 2, Items: 3, TotalItems: 4, Current: "docker.io/team/app:1"})
		report.Item(admin.KindSkipped, admin.Notice{Name: "a", Reason: "<b> & c"})
		report.Summary(map[string]int{"images": 7})
		return nil
	}
	eachTransport(t, withJob(job), func(t *testing.T, m testMirror) {
		before := time.Now().UTC().Add(-time.Second)
		var got []admin.Event
		must(t, m.Job(t.Context(), "work", nil, nil, func(e admin.Event) error { got = append(got, e); return nil }))
		if len(got) != 3 {
			t.Fatalf("received %+v", got)
		}
		for _, e := range got {
			if e.Time.Before(before) || e.Time.Location() != time.UTC {
				t.Errorf("%s event at %s", e.Kind, e.Time)
			}
		}
		if p := got[0].Progress; got[0].Kind != admin.KindProgress || p == nil || *p != (admin.Progress{Done: 1, Total: 2, Items: 3, TotalItems: 4, Current: "docker.io/team/app:1"}) {
			t.Errorf("progress %+v", got[0])
		}
		var notice admin.Notice
		if err := got[1].Decode(&notice); err != nil || got[1].Kind != admin.KindSkipped || notice != (admin.Notice{Name: "a", Reason: "<b> & c"}) {
			t.Errorf("item %+v, %v", notice, err)
		}
		var summary struct{ Images int }
		if err := got[2].Decode(&summary); err != nil || got[2].Kind != admin.KindSummary || summary.Images != 7 {
			t.Errorf("summary %+v, %v", summary, err)
		}
		if err := got[2].Decode(new(int)); err == nil || !strings.Contains(err.Error(), "summary") {
			t.Errorf("decoded into the wrong type: %v", err)
		}
	})
}

// TestEventKeys checks the keys of the protocol, which programs rely on.
func TestEventKeys(t *testing.T) {
	job := func(_ context.Context, _ json.RawMessage, _ io.Reader, report admin.Report) error {
		report.Progress(admin.Progress{Done: 1, Total: 2, Items: 3, TotalItems: 4, Current: "x"})
		report.Item(admin.KindNote, admin.Notice{Name: "a", Reason: "<b>"})
		report.Summary(admin.RemoveSummary{Tags: 1, Manifests: 2, Freed: 3, Later: 4, Kept: 5})
		return nil
	}
	m, _ := open(t)
	client := http.Client{Transport: bySocket(t, admin.Local(admin.New(m, withJob(job))))}
	resp, err := client.Post("http://mirror/api/v1/calls/work", "application/json", strings.NewReader("null"))
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	want := []string{
		`"kind":"progress","progress":{"done":1,"total":2,"items":3,"totalItems":4,"current":"x"}}`,
		`"kind":"note","item":{"name":"a","reason":"<b>"}}`,
		`"kind":"summary","summary":{"tags":1,"manifests":2,"freed":3,"later":4,"kept":5}}`,
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if len(lines) != len(want) {
		t.Fatalf("received %s", text)
	}
	for i, line := range lines {
		if _, rest, _ := strings.Cut(string(line), ","); !strings.HasPrefix(string(line), `{"time":"`) || rest != want[i] {
			t.Errorf("line %d is %s, want %s", i, line, want[i])
		}
	}
}

func TestItemThatIsNoJSON(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an item that cannot be encoded was sent")
		}
	}()
	admin.Report(func(admin.Event) {}).Item(admin.KindNote, func() {})
}
