//go:build e2e

package e2e_test

import (
	"path/filepath"
	"testing"
)

// TestTodayCosign: images are signed after a login and verified without one while the mirror is offline: as cosign does it
// today, by the referrers API, and as it did before, by a tag. Both kinds of signatures are carried by a bundle. By cosign save
// and load only the older kind is: cosign 3.1 uploads the manifest of a new one before its layer, which no registry takes.
func TestTodayCosign(t *testing.T) {
	byScheme(t, func(t *testing.T, tls bool) {
		bin := today(t, true, "cosign")
		hub := startUpstream(t)
		fresh := push(t, helloIndex(t, ociFormat, "signed as today"), hub.addr+"/library/fresh:1").String()
		older := push(t, helloIndex(t, ociFormat, "signed as before"), hub.addr+"/library/older:1").String()
		mirror, inside := startSite(t, tls, mirrorOf(hub)), startSite(t, tls, "--offline")
		mirror.ask(t, "sync", "fresh:1", "older:1")
		mirror.ask(t, "mode", "offline")
		hub.stop(t)

		cosign := func(s site, args ...string) []string {
			if tls {
				return append([]string{bin + "cosign"}, append(args, "--registry-cacert", s.ca)...)
			}
			return append([]string{bin + "cosign"}, append(args, "--allow-http-registry")...)
		}
		disk := tempDir(t)
		key, saved, bundle := filepath.Join(disk, "key"), filepath.Join(disk, "saved"), filepath.Join(disk, "bundle.tar")
		robots, anybody := environment(t, "COSIGN_PASSWORD="), environment(t)
		run(t, robots, bin+"cosign", "generate-key-pair", "--output-key-prefix", key)
		sign := []string{"sign", "--yes", "--key", key + ".key", "--use-signing-config=false", "--tlog-upload=false"}
		verify := []string{"verify", "--key", key + ".pub", "--insecure-ignore-tlog"}
		const asBefore = "--new-bundle-format=false"
		freshHere, olderHere := mirror.addr+"/library/fresh", mirror.addr+"/library/older"

		refuses(t, environment(t, "COSIGN_PASSWORD="), "without a login", cosign(mirror, append(sign, freshHere+"@"+fresh)...)...)
		refuses(t, anybody, "no signatures found", cosign(mirror, append(verify, freshHere+":1")...)...)
		for _, s := range []site{mirror, inside} {
			run(t, robots, bin+"cosign", "login", s.addr, "--username", robot, "--password", secret)
		}
		run(t, robots, cosign(mirror, append(sign, freshHere+"@"+fresh)...)...)
		run(t, robots, cosign(mirror, append(sign, asBefore, olderHere+"@"+older)...)...)
		run(t, anybody, cosign(mirror, append(verify, freshHere+":1")...)...)
		run(t, anybody, cosign(mirror, append(verify, asBefore, olderHere+":1")...)...)

		mirror.ask(t, "export", "--bundle", bundle, "fresh:1", "older:1")
		inside.ask(t, "sync", "--bundle", bundle)
		run(t, anybody, cosign(inside, append(verify, inside.addr+"/library/fresh:1")...)...)
		run(t, anybody, cosign(inside, append(verify, asBefore, inside.addr+"/library/older:1")...)...)

		run(t, anybody, cosign(mirror, "save", "--dir", saved, olderHere+"@"+older)...)
		run(t, robots, cosign(inside, "load", "--dir", saved, inside.addr+"/team/loaded:1")...)
		run(t, anybody, cosign(inside, append(verify, asBefore, inside.addr+"/team/loaded:1")...)...)
	})
}
