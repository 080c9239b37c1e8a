package cachetest

import (
	"testing"

	"airmirror/mirror"
)

// testSharedCaches changes tags and manifests on one node, after the other one has served them.
func testSharedCaches(t *testing.T, open func(t *testing.T) (a, b mirror.Store)) {
	first, second := open(t)
	a := &storeTest{Store: first, t: t, ctx: t.Context()}
	b := &storeTest{Store: second, t: t, ctx: t.Context()}
	for range 3 {
		one := a.pushImage(repoA, mirror.Pushed, image{config: "one"}, "v1")
		b.wantTag(repoA, "v1", one.Digest, mirror.Pushed)
		b.wantManifest(repoA, one)

		two := a.pushImage(repoA, mirror.Pushed, image{config: "two"}, "v1")
		b.wantTag(repoA, "v1", two.Digest, mirror.Pushed)

		a.must(a.DeleteTag(a.ctx, repoA, "v1"))
		b.wantTag(repoA, "v1", "", "")

		b.must(b.PutManifest(b.ctx, repoA, one, "v1"))
		a.wantTag(repoA, "v1", one.Digest, mirror.Pushed)
		a.must(a.DeleteManifest(a.ctx, repoA, one.Digest))
		b.wantCode(errOf(b.Manifest(b.ctx, repoA, one.Digest)), mirror.CodeManifestUnknown)
		b.wantTag(repoA, "v1", "", "")

		mirrored := image{config: "three"}
		m := mirrored.manifest(mirror.Mirrored)
		b.must(b.PutManifest(b.ctx, repoB, m, "v1"))
		b.wantManifest(repoB, m)
		m = a.pushImage(repoB, mirror.Pushed, mirrored) // its origin changes
		b.wantManifest(repoB, m)
		a.must(a.DeleteManifest(a.ctx, repoB, m.Digest))
		b.wantCode(errOf(b.Manifest(b.ctx, repoB, m.Digest)), mirror.CodeManifestUnknown)
	}
	a.must(a.Close())
	b.must(b.Close())
}
