// Package e2e drives the real binary with real clients: dockerd, containerd, podman, skopeo, crane, and nginx in
// front of it. A test of this package reads like what an operator does; whatever it needs to get there (daemons,
// images, ports, clean-up) is in the helpers, one theme per file:
//
//	need_test.go       which clients must be installed, and what becomes of a test without them
//	process_test.go    processes: started, waited for by condition, ended by pid, their logs shown on failure
//	machine_test.go    temporary folders, and an environment without a way to the internet
//	network_test.go    ports and network namespaces
//	images_test.go     images with a program in them
//	registry_test.go   the upstream registry and the mirror
//	ask_test.go        the commands that ask a running mirror
//	fuse_test.go       kill -9 at a chosen point of an exchange
//	wire_test.go       a line that breaks, and that knows which bytes came over it
//	hole_test.go       the one way into a network namespace, and what the kernel counted in there
//	login_test.go      registries that want a password or a token
//	users_test.go      the mirror when it has users
//	tls_test.go        the mirror by TLS, with what `mirror cert` makes; rotate_test.go has that change
//	refuse_test.go     requests that must be refused, as they go over a socket; refuse_*_test.go are the tables of them
//	change_test.go     everything that changes while clients work
//	pages_test.go      what README and the pages of deploy/docs show, run as it stands there
//	engines_test.go    PostgreSQL and an S3 server, for nodes with one store; cluster_test.go has those
//	today_test.go      clients of today, told what 'mirror client' prints; today_*_test.go are the tests of each
//	docker_test.go, containerd_test.go, …   one client each, its helpers and its tests
//
// Everything listens on loopback, and nothing is left running or mounted. Run it with `make e2e`, as root.
package e2e
