package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"airmirror/cache"
	"airmirror/cache/bolt"
)

const (
	// nodeName is the name of the file in a data folder that makes it the folder of a node.
	nodeName = "node.json"
	// blobsFolder is the folder of local copies in a data folder.
	blobsFolder = "node"
)

// identity is the content of the file of a node.
type identity struct {
	ID string `json:"id"`
}

// IsNode reports whether a data folder is that of a node. Its content is not in the folder.
func IsNode(folder string) bool {
	_, err := os.Lstat(filepath.Join(folder, nodeName))
	return err == nil
}

// claimFolder creates and locks the data folder of a node, and returns the ID of the node.
func claimFolder(folder string) (id string, lock io.Closer, err error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return "", nil, err
	}
	if _, err := os.Lstat(filepath.Join(folder, cache.IndexName)); err == nil {
		return "", nil, fmt.Errorf("the folder %s has an index and content of its own, which the other nodes would not see: use an empty folder", folder)
	}
	path := filepath.Join(folder, nodeName)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return "", nil, err
	}
	defer file.Close()
	if lock, err = bolt.Lock(path); err != nil {
		return "", nil, err
	}
	if id, err = nodeID(file); err != nil {
		return "", nil, errors.Join(fmt.Errorf("read %s: %w", path, err), lock.Close())
	}
	return id, lock, nil
}

// nodeID reads the file of a node. An empty one gets a new ID. The caller has the lock of the file.
func nodeID(file *os.File) (string, error) {
	text, err := io.ReadAll(file)
	if err != nil {
		return "", err
	}
	var node identity
	if len(text) == 0 {
		node.ID = uuid.NewString()
		text, _ = json.Marshal(node) // strings always encode
		_, err := file.Write(append(text, '\n'))
		return node.ID, errors.Join(err, file.Sync())
	}
	if err := json.Unmarshal(text, &node); err != nil {
		return "", err
	}
	if node.ID == "" {
		return "", errors.New("it names no node")
	}
	return node.ID, nil
}
