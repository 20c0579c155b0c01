// A server on node-coap with a resource of each kind; node_server.js PORT
const coap = require('coap')

let stored = Buffer.from('nothing yet')
const large = Buffer.alloc(5000, 'node-coap ')

const server = coap.createServer((request, response) => {
  const path = request.url.split('?')[0]
  if (request.headers.Observe === 0 && path === '/observed') {
    let count = 0
    const timer = setInterval(() => {
      response.write(`state ${++count}`)
      if (count === 3) { clearInterval(timer); response.end() }
    }, 100)
    response.on('finish', () => clearInterval(timer))
    response.write('state 0')
    return
  }
  if (path === '/large') { response.end(large); return }
  if (path === '/slow') { setTimeout(() => response.end('slow'), 500); return }
  if (path !== '/stored') { response.code = '4.04'; response.end(); return }
  if (request.method === 'GET') { response.end(stored); return }
  if (request.method === 'DELETE') { stored = Buffer.from('gone'); response.code = '2.02'; response.end(); return }
  stored = request.payload
  response.code = request.method === 'POST' ? '2.01' : '2.04'
  response.end()
})
server.listen(Number(process.argv[2]), '127.0.0.1')
