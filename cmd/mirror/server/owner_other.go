//go:build !unix

package server

// CheckCommand accepts every folder where files have no Unix owners.
func CheckCommand(string, int) error { return nil }

func checkServer(string, int) error { return nil }
