// SPDX-License-Identifier: MIT
// Copyright (c) the Weft authors

// The peer of the HTTP table in Go: net/http as one uses it. go_http PORT [CERT KEY]
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) != 2 && len(os.Args) != 4 {
		log.Fatal("usage: go_http PORT [CERT KEY]")
	}
	http.HandleFunc("/plaintext", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "Hello, World!")
	})
	piece := make([]byte, 65536)
	http.HandleFunc("/bytes/", func(w http.ResponseWriter, r *http.Request) {
		left, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/bytes/"))
		w.Header().Set("Content-Length", strconv.Itoa(left))
		for left > 0 {
			size := len(piece)
			if size > left {
				size = left
			}
			if _, err := w.Write(piece[:size]); err != nil {
				return
			}
			left -= size
		}
	})
	http.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		io.Copy(hash, r.Body)
		io.WriteString(w, hex.EncodeToString(hash.Sum(nil)))
	})
	if len(os.Args) == 4 {
		log.Fatal(http.ListenAndServeTLS("127.0.0.1:"+os.Args[1], os.Args[2], os.Args[3], nil))
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
