"""LangGraph: `SqliteSaver`, durability `sync`; going on is `invoke(None)` on the same thread."""

from __future__ import annotations

from job import DO, FOLDER, PROMPT, SYSTEM, TURNS, URL, send_invoice, show
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.sqlite import SqliteSaver

model = ChatOpenAI(model="m", base_url=URL, api_key="none")
config = {"configurable": {"thread_id": "session"}}
with SqliteSaver.from_conn_string(str(FOLDER / "session.db")) as saver:
    agent = create_agent(model, [tool(send_invoice)], system_prompt=SYSTEM, checkpointer=saver)
    if DO == "read":
        show(agent.get_state(config).values["messages"])
    else:
        said = {"messages": [{"role": "user", "content": PROMPT}]}
        for _ in range(TURNS if DO == "long" else 1):
            result = agent.invoke(None if DO == "resume" else said, config, durability="sync")
        print("outcome:", result["messages"][-1].content[:5])
