package ui

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// TestIncompleteImageHasReason checks why an image is said to be incomplete, and that there is a text for it.
func TestIncompleteImageHasReason(t *testing.T) {
	known, err := readTexts(languages[0])
	if err != nil {
		t.Fatal(err)
	}
	d, index := digest.FromString("image"), digest.FromString("index")
	partly := mirror.Image{Repo: "ghcr.io/org/app", Tag: "1", Digest: d, Index: index, Size: 10, Missing: 5}
	unreadable, empty := partly, partly
	unreadable.Error, empty.Size = "damaged", 0
	up, down := mirror.UpstreamStatus{Host: "ghcr.io"}, mirror.UpstreamStatus{Host: "ghcr.io", Down: true, Error: "refused"}
	online := func(upstreams ...mirror.UpstreamStatus) mirror.Status {
		return mirror.Status{Mode: mirror.Auto, Upstreams: append([]mirror.UpstreamStatus{{Host: "docker.io"}}, upstreams...)}
	}
	for _, test := range []struct {
		image       mirror.Image
		status      mirror.Status
		backfill    string
		why, detail string
	}{
		{unreadable, online(up), "", "unreadable", "damaged"},
		{partly, mirror.Status{Mode: mirror.Offline}, "", "offline", ""},
		{partly, online(), "", "noUpstream", ""},
		{partly, online(down), "", "down", "refused"},
		{partly, online(up), "ghcr.io/org/app@" + d.String(), "backfill", ""},
		{partly, online(up), "ghcr.io/org/app@" + index.String(), "backfill", ""},
		{partly, online(up), "ghcr.io/org/other@" + d.String(), "partly", ""},
		{empty, online(up), "", "notFetched", ""},
		{partly, online(up), "", "partly", ""},
	} {
		var backfill []mirror.BackfillImage
		if test.backfill != "" {
			backfill = append(backfill, mirror.BackfillImage{Ref: test.backfill})
		}
		got := explain(admin.Image{Image: test.image}, admin.Status{Status: test.status}, backfill)
		if got.Why != test.why || got.Detail != test.detail {
			t.Errorf("%+v, %+v: %q %q, want %q %q", test.image, test.status, got.Why, got.Detail, test.why, test.detail)
		}
		if _, ok := known["why."+got.Why]; !ok {
			t.Errorf("there is no text for %q", got.Why)
		}
	}
}
