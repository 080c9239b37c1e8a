package proxy_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

func readerOf(s string) io.Reader { return strings.NewReader(s) }

func TestTTLPerTag(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{TagTTL: func(ref mirror.Ref) time.Duration {
			switch {
			case strings.HasPrefix(ref.Tag, "v"):
				return mirror.Forever
			case ref.Tag == "nightly":
				return time.Hour
			}
			return 0
		}})
		d := p.origin.image(app, []string{"layer"}, "v1", "nightly", "latest").Digest
		for range 3 {
			p.get(byTag("v1"), d)
			p.get(byTag("nightly"), d)
			p.get(byTag("latest"), d)
			later(40 * time.Minute) // of the bubble's clock
		}
		for call, want := range map[string]int{
			"manifest origin.test/org/app:v1": 1, "resolve origin.test/org/app:v1": 0,
			"manifest origin.test/org/app:nightly": 1, "resolve origin.test/org/app:nightly": 1,
			"manifest origin.test/org/app:latest": 1, "resolve origin.test/org/app:latest": 2,
		} {
			if got := p.origin.count(call); got != want {
				t.Errorf("%s: %d times, want %d", call, got, want)
			}
		}
	})
}

func TestRevalidationsAreMerged(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		d := p.origin.image(app, nil, "v1").Digest
		p.get(byTag("v1"), d)
		release := make(chan bool)
		p.origin.set(func(context.Context, string) error { <-release; return nil })
		var clients sync.WaitGroup
		for i := range 10 {
			clients.Go(func() {
				if i%2 == 0 {
					p.get(byTag("v1"), d)
				} else if _, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{}); err != nil && i != 9 {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := p.origin.count("resolve"); n != 1 {
			t.Errorf("%d revalidations are in progress", n)
		}
		close(release)
		clients.Wait()
	})
}

func TestMovedTag(t *testing.T) {
	p := start(t, proxy.Options{})
	before := p.origin.image(app, []string{"old"}, "v1").Digest
	p.get(byTag("v1"), before)
	after := p.origin.image(app, []string{"new"}, "v1").Digest
	p.get(byTag("v1"), after)
	p.origin.set(down)
	p.get(byDigest(before), before)
	if answer := p.get(byTag("v1"), after); answer.Stale == nil {
		t.Error("an answer that could not be revalidated is not stale")
	}
}

func TestStaleAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(context.Context, string) error
		mode   mirror.Mode
		waits  time.Duration
		reason string
	}{
		"the registry is down":  {before: down, reason: "the registry is down"},
		"the registry hangs":    {before: hangs("resolve"), waits: 300 * time.Millisecond, reason: "has not answered yet"},
		"the tag is gone":       {before: func(context.Context, string) error { return mirror.Errorf(mirror.CodeManifestUnknown, "no such tag") }, reason: "no such tag"},
		"the mirror is offline": {before: forbidden(t), mode: mirror.Offline, reason: "offline"},
		"only the manifest is down": {before: func(_ context.Context, call string) error {
			if strings.HasPrefix(call, "manifest") {
				return errDown
			}
			return nil
		}, reason: "the registry is down"},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, proxy.Options{FallbackTimeout: 300 * time.Millisecond})
				d := p.origin.image(app, []string{"old"}, "v1").Digest
				if answer := p.get(byTag("v1"), d); answer.Stale != nil {
					t.Errorf("stale at once: %v", answer.Stale)
				}
				p.origin.image(app, []string{"new"}, "v1")
				p.origin.set(tt.before)
				if tt.mode != "" {
					p.must(p.SetMode(t.Context(), tt.mode))
				}
				begin := time.Now()
				answer := p.get(byTag("v1"), d)
				if answer.Stale == nil || !strings.Contains(answer.Stale.Error(), tt.reason) {
					t.Errorf("stale: %v, want %q", answer.Stale, tt.reason)
				}
				if took := time.Since(begin); took != tt.waits {
					t.Errorf("took %s, want %s", took, tt.waits)
				}
				if answer := p.get(byDigest(d), d); answer.Stale != nil {
					t.Error("content is stale by digest")
				}
			})
		})
	}
}

// forbidden fails the test if the upstream is called.
func forbidden(t *testing.T) func(context.Context, string) error {
	return func(_ context.Context, call string) error {
		t.Errorf("the upstream was asked: %s", call)
		return errDown
	}
}

func TestNegativeAnswersAreCached(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		d := p.origin.image(mirror.Repo{Host: "origin.test", Path: "other"}, []string{"layer"}).Digest
		p.origin.set(func(context.Context, string) error {
			return mirror.Errorf(mirror.CodeNameUnknown, "no such repository")
		})
		for range 9 {
			p.missing(byTag("v1"))
			if _, err := p.read(app, d); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
				t.Error(err)
			}
			if _, err := p.Tags(t.Context(), app, "", 9); mirror.CodeOf(err) != mirror.CodeNameUnknown {
				t.Error(err)
			}
			later(time.Second)
		}
		p.origin.once()
		p.origin.set(nil)
		p.get(byDigest(d), d) // as a blob it is unknown; that says nothing about a manifest
		later(time.Second)
		p.origin.image(app, []string{"layer"}, "v1")
		if _, err := p.Manifest(t.Context(), byTag("v1")); err != nil {
			t.Errorf("after 10 s: %v", err)
		}
		if len(p.wants()) != 0 {
			t.Errorf("a registry's no is no want: %s", p.wants())
		}
	})
}

// TestDeletedTagIsNotRevalidatedAtOnce checks that a negative answer is cached for a stored tag as well.
func TestDeletedTagIsNotRevalidatedAtOnce(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		old := p.origin.image(app, []string{"old"}, "v1").Digest
		p.get(byTag("v1"), old)
		delete(p.origin.tags, byTag("v1").String())
		for range 9 {
			if answer := p.get(byTag("v1"), old); mirror.CodeOf(answer.Stale) != mirror.CodeManifestUnknown {
				t.Errorf("stale: %v", answer.Stale)
			}
			later(time.Second)
		}
		if n := p.origin.count("resolve"); n != 1 {
			t.Errorf("the upstream got %d requests, want 1", n)
		}
		p.get(byTag("v1"), old)
		later(2 * time.Second)
		moved := p.origin.image(app, []string{"new"}, "v1").Digest
		p.get(byTag("v1"), moved)
	})
}

func TestListsAreMerged(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{FallbackTimeout: time.Second})
		subject := p.origin.image(app, []string{"layer"}, "v1", "v3")
		p.get(byTag("v1"), subject.Digest)
		signature := p.origin.about(app, subject, "signature", true)
		p.get(byDigest(signature.Digest), signature.Digest)
		p.push(app, "{}")
		p.tag("v2")
		other := p.origin.about(app, subject, "other", true)
		list := func(after string, n int) mirror.Listing[string] {
			t.Helper()
			tags, err := p.Tags(t.Context(), app, after, n)
			p.must(err)
			return tags
		}
		referrers := func() mirror.Listing[string] {
			t.Helper()
			found, err := p.Referrers(t.Context(), app, subject.Digest, "", 99, 1<<20)
			p.must(err)
			var digests []string
			for _, desc := range found.Items {
				digests = append(digests, desc.Digest.String())
			}
			return mirror.Listing[string]{Items: digests, Stale: found.Stale}
		}
		check := func(what string, got mirror.Listing[string], stale bool, want ...string) {
			t.Helper()
			slices.Sort(want)
			if !slices.Equal(got.Items, want) || (got.Stale != nil) != stale {
				t.Errorf("%s: %s, stale: %v; want %s, stale: %t", what, got.Items, got.Stale, want, stale)
			}
		}
		check("all tags", list("", 9), false, "v1", "v2", "v3")
		check("some tags", list("v1", 1), false, "v2")
		check("the last tags", list("v2", 9), false, "v3")
		check("no tags", list("v3", 9), false)
		check("referrers", referrers(), false, signature.Digest.String(), other.Digest.String())
		p.origin.once()

		later(time.Minute) // the lists are forgotten
		for name, before := range map[string]func(context.Context, string) error{"down": down, "hanging": hangs("")} {
			p.origin.set(before)
			begin := time.Now()
			check("tags, "+name, list("", 9), true, "v1", "v2")
			check("referrers, "+name, referrers(), true, signature.Digest.String())
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("%s: a client waited for %s", name, took)
			}
		}
		p.origin.set(forbidden(t))
		p.must(p.SetMode(t.Context(), mirror.Offline))
		check("tags, offline", list("", 9), true, "v1", "v2")
		check("referrers, offline", referrers(), true, signature.Digest.String())
	})
}

func TestFullListsWaitForTheUpstream(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		p.get(byTag("v1"), p.origin.image(app, nil, "v1").Digest)
		p.origin.image(app, nil, "v2")
		p.origin.set(func(context.Context, string) error { later(3 * time.Second); return nil })
		tags, err := p.Tags(mirror.WithFullLists(t.Context()), app, "", 9)
		if err != nil || tags.Stale != nil || len(tags.Items) != 2 {
			t.Errorf("%+v, %v", tags, err)
		}
	})
}
