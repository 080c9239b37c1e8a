//go:build e2e

package e2e_test

import "testing"

// TestMirrorsCascade: one mirror is the upstream of another, and each goes on when what is behind it is gone.
func TestMirrorsCascade(t *testing.T) {
	hub := startUpstream(t)
	staging := startMirror(t, mirrorOf(hub), "--tag-ttl=1ms")
	inside := startMirror(t, "--upstream=docker.io=http://"+staging.addr, "--tag-ttl=1ms")
	docker := startDocker(t, inside.addr)
	cold := push(t, helloIndex(t, ociFormat, "pulled cold"), hub.addr+"/library/airmirror-cold:1").String()
	later := push(t, helloIndex(t, dockerFormat, "pulled later"), hub.addr+"/library/airmirror-later:1").String()

	wantWhole(t, inside.addr+"/library/airmirror-cold:1", cold)
	docker.do(t, "pull", "airmirror-cold:1")
	docker.prints(t, "airmirror-cold:1", "pulled cold")
	wantWhole(t, staging.addr+"/library/airmirror-cold:1", cold)
	wantWhole(t, staging.addr+"/library/airmirror-later:1", later)

	hub.stop(t)
	wantWhole(t, inside.addr+"/library/airmirror-cold:1", cold)
	docker.do(t, "pull", "airmirror-later:1") // the inside mirror has not seen it, the staging mirror has
	docker.prints(t, "airmirror-later:1", "pulled later")
	wantWhole(t, inside.addr+"/library/airmirror-later:1", later)

	staging.stopCleanly(t)
	wantWhole(t, inside.addr+"/library/airmirror-cold:1", cold)
	wantWhole(t, inside.addr+"/library/airmirror-later:1", later)
	docker.do(t, "image", "rm", "airmirror-cold:1", "airmirror-later:1")
	docker.do(t, "pull", "airmirror-later:1")
	docker.prints(t, "airmirror-later:1", "pulled later")
	inside.stopCleanly(t)
}
