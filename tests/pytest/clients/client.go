// SPDX-License-Identifier: MIT
// Go's net/http against the demo: client URL. Says "ok", or what was wrong.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

var url string

func check(ok bool, words ...interface{}) {
	if !ok {
		fmt.Println(words...)
		os.Exit(1)
	}
}

func get(path string) string {
	reply, err := http.Get(url + path)
	check(err == nil, path, err)
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	check(err == nil, path, err)
	return string(body)
}

func main() {
	url = os.Args[1]
	check(get("/hello/W%C3%B6rld") == "Hello, Wörld!", "hello")
	check(get("/json") == `{"message":"Hello, World!"}`, "json")
	reply, err := http.Head(url + "/plaintext")
	check(err == nil && reply.ContentLength == 13, "head", err)
	reply, err = http.Get(url + "/none")
	check(err == nil && reply.StatusCode == 404, "none", err)

	// bodies: of known length, in chunks with a trailer, and expected
	data := make([]byte, 700000)
	rand.Read(data)
	reply, err = http.Post(url+"/echo", "x/y", bytes.NewReader(data))
	check(err == nil && reply.Header.Get("Content-Type") == "x/y", "echo", err)
	body, err := io.ReadAll(reply.Body)
	check(err == nil && bytes.Equal(body, data), "echo", err, len(body))
	read, write := io.Pipe()
	hash := sha256.New()
	go func() {
		for i := 0; i < 200; i++ {
			hash.Write(data[:10000+i])
			write.Write(data[:10000+i])
		}
		write.Close()
	}()
	request, _ := http.NewRequest("POST", url+"/upload", read)
	request.Trailer = http.Header{"X-Trailer": {"there"}}
	reply, err = http.DefaultClient.Do(request)
	check(err == nil, "upload", err)
	body, err = io.ReadAll(reply.Body)
	check(err == nil && strings.Contains(string(body), hex.EncodeToString(hash.Sum(nil))), "upload", err, string(body))
	expecting := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 10 * time.Second}}
	request, _ = http.NewRequest("POST", url+"/echo", bytes.NewReader(data))
	request.Header.Set("Expect", "100-continue")
	reply, err = expecting.Do(request)
	check(err == nil && reply.StatusCode == 200, "expect", err)
	io.Copy(io.Discard, reply.Body)

	// replies: streamed, large, and left in the middle
	check(len(strings.Split(strings.TrimSpace(get("/stream?n=3")), "\n")) == 3, "stream")
	check(len(get("/download/5000000")) == 5000000, "download")
	reply, err = http.Get(url + "/download/500000000")
	check(err == nil, "download", err)
	io.ReadFull(reply.Body, data)
	reply.Body.Close()

	// many at once
	var all sync.WaitGroup
	for i := 0; i < 300; i++ {
		all.Add(1)
		go func(i int) {
			got := get(fmt.Sprintf("/hello/%d", i))
			check(got == fmt.Sprintf("Hello, %d!", i), i, got)
			all.Done()
		}(i)
	}
	all.Wait()
	fmt.Println("ok")
}
