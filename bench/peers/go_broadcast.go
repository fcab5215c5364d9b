// SPDX-License-Identifier: MIT
// Copyright (c) the Weft authors
// The broadcast server on Go with gorilla, as its chat example has it: a goroutine that writes for each member, fed by a
// channel; messages are prepared once. go_broadcast PORT
package main

import (
	"log"
	"net/http"
	"os"
	"sync"

	"github.com/gorilla/websocket"
)

const queued = 256 // messages for one member

var (
	upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	lock     sync.RWMutex
	members  = map[*websocket.Conn]chan *websocket.PreparedMessage{}
)

func write(c *websocket.Conn, queue chan *websocket.PreparedMessage) {
	for message := range queue {
		if c.WritePreparedMessage(message) != nil {
			c.Close()
		}
	}
}

func serve(w http.ResponseWriter, r *http.Request) {
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	queue := make(chan *websocket.PreparedMessage, queued)
	lock.Lock()
	members[c] = queue
	lock.Unlock()
	go write(c, queue)
	for {
		kind, data, err := c.ReadMessage()
		if err != nil {
			break
		}
		message, err := websocket.NewPreparedMessage(kind, data)
		if err != nil {
			break
		}
		lock.RLock()
		for _, each := range members {
			each <- message
		}
		lock.RUnlock()
	}
	lock.Lock()
	delete(members, c)
	lock.Unlock()
	close(queue)
	c.Close()
}

func main() {
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(serve)))
}
