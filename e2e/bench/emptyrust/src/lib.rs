//! A filter that does nothing, by the Rust SDK.

use proxy_wasm::traits::*;
use proxy_wasm::types::*;
proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(Root) });
}}
struct Root;
impl Context for Root {}
impl RootContext for Root {
    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> { Some(Box::new(Empty)) }
    fn get_type(&self) -> Option<ContextType> { Some(ContextType::HttpContext) }
}
struct Empty;
impl Context for Empty {}
impl HttpContext for Empty {}
